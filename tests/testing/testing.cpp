#include "tests/testing/testing.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

namespace laconic::testing {
namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

int wait_for(pid_t child, double timeout_seconds) {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_seconds);
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "laconic-test-XXXXXX").string();
  TORCH_CHECK(::mkdtemp(pattern.data()) != nullptr, "cannot make a temporary directory");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path repository() { return std::filesystem::current_path(); }

std::filesystem::path test_data(const std::string& name) {
  const char* configured = std::getenv("LACONIC_TEST_DATA");
  const std::filesystem::path root =
      configured != nullptr ? configured : repository() / "../shared/data";
  return std::filesystem::exists(root / name) ? root / name : std::filesystem::path();
}

std::filesystem::path program() {
  const char* configured = std::getenv("LACONIC_PROGRAM");
  return configured != nullptr ? configured : repository() / "build/release/bin/laconic";
}

std::string python() {
  const char* configured = std::getenv("LACONIC_PYTHON");
  return configured != nullptr ? configured : "";
}

ProgramResult run_program(const std::vector<std::string>& command, double timeout_seconds) {
  const TemporaryDirectory directory;
  const auto output = directory / "out", errors = directory / "err";
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int in = ::open("/dev/null", O_RDONLY);
    const int out = ::open(output.c_str(), O_WRONLY | O_CREAT, 0600);
    const int err = ::open(errors.c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(in, 0), ::dup2(out, 1), ::dup2(err, 2);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ProgramResult result;
  result.exit_code = wait_for(child, timeout_seconds);
  result.output = slurp(output);
  result.errors = slurp(errors);
  return result;
}

}  // namespace laconic::testing
