// Ctrl-C, a polite kill, kill -9, and two at once.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "tests/cli/run.h"

namespace laconic {
namespace {

using testing::gptq_job;
using ::testing::HasSubstr;
using testing::kEvaluationText;
using testing::kGptqLayers;
using testing::kTinyLm;
using testing::listing;
using testing::TemporaryDirectory;

/// A program that runs, with what it says on standard error in a file.
class Running {
 public:
  Running(std::vector<std::string> arguments, const std::filesystem::path& errors)
      : errors_(errors) {
    arguments.insert(arguments.begin(), testing::program().string());
    child_ = ::fork();
    if (child_ != 0) return;
    std::vector<char*> words;
    for (auto& word : arguments) words.push_back(word.data());
    words.push_back(nullptr);
    ::dup2(::open("/dev/null", O_RDWR), 1);
    ::dup2(::open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  ~Running() { wait(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  /// False when the program ended before `condition` held.
  bool wait_until(const std::function<bool()>& condition) {
    while (!ended_ && !condition()) {
      ended_ = ::waitpid(child_, &status_, WNOHANG) == child_;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return !ended_;
  }
  bool run_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    return wait_until([&] { return std::chrono::steady_clock::now() >= end; });
  }
  void send(int signal) { ::kill(child_, signal); }
  /// The exit code, or 128 + the signal, as a shell says it.
  int wait() {
    if (!ended_) ended_ = ::waitpid(child_, &status_, 0) == child_;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }
  std::string errors() const { return read_text_file(errors_); }

 private:
  std::filesystem::path errors_;
  pid_t child_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

bool has_finished_block(const std::filesystem::path& working) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(working, ignored)) {
    if (entry.path().extension() == ".safetensors") return true;
  }
  return false;
}

TEST(Interrupt, JobContinuesAndGivesTheSameBytes) {
  const TemporaryDirectory directory;
  const auto whole = directory / "whole", broken = directory / "broken";
  const auto working = broken.string() + ".partial";
  ASSERT_EQ(testing::run(gptq_job(whole)).exit_code, 0);
  for (const int signal : {SIGINT, SIGTERM}) {
    SCOPED_TRACE(signal);
    std::filesystem::remove_all(working);
    Running job(gptq_job(broken), directory / "errors");
    ASSERT_TRUE(job.wait_until([&] { return has_finished_block(working); }));
    job.send(signal);
    EXPECT_EQ(job.wait(), 128 + signal);
    EXPECT_THAT(job.errors(), HasSubstr("laconic: interrupted: what is done lies in " + working));
    EXPECT_FALSE(std::filesystem::exists(broken));
  }
  auto changed = gptq_job(broken);
  changed.insert(changed.end(), {"--set", "weight.bits=3"});
  testing::expect_failure(changed, 2, {working, "the recipe has changed", "Remove"});
  const auto report = testing::run_json(gptq_job(broken));
  EXPECT_TRUE(report["resumed"]);
  EXPECT_EQ(report["report"]["layers"].size(), kGptqLayers);
  testing::expect_same_files(whole, broken);
  EXPECT_FALSE(std::filesystem::exists(working));
}

TEST(Interrupt, BeforeTheFirstBlockNothingIsLeft) {
  const TemporaryDirectory directory;
  const auto working = (directory / "out").string() + ".partial";
  Running job(gptq_job(directory / "out"), directory / "errors");
  ASSERT_TRUE(job.wait_until([&] { return std::filesystem::exists(working + "/job.json"); }));
  job.send(SIGINT);
  EXPECT_EQ(job.wait(), 130);
  EXPECT_THAT(job.errors(), HasSubstr("laconic: interrupted: nothing half-done was left"));
  EXPECT_EQ(listing(directory.path()), std::set<std::string>{"errors"});
}

TEST(Interrupt, EveryCommandLeavesNothingHalfDone) {
  const TemporaryDirectory directory;
  const std::string model = (directory / "model").string();
  ASSERT_EQ(testing::run({"quantize", kTinyLm, "--recipe", "gguf-q4_0", "--out", model}).exit_code,
            0);
  const std::vector<std::vector<std::string>> commands = {
      {"evaluate", "perplexity", kTinyLm, "--text", kEvaluationText},
      {"compare", kTinyLm, "--recipes", "w8a16,w4a16", "--text", kEvaluationText},
      {"export", model, "--format", "gguf-f32", "--out", (directory / "a.gguf").string()},
      {"export", model, "--format", "compressed-tensors", "--out",
       (directory / "folder").string()}};
  std::ofstream(directory / "errors") << "";
  const auto before = listing(directory.path());
  for (const auto& command : commands) {
    for (const int moment : {50, 400, 700, 1000}) {
      SCOPED_TRACE(command[0] + " after " + std::to_string(moment) + " ms");
      Running running(command, directory / "errors");
      if (running.run_for(std::chrono::milliseconds(moment))) running.send(SIGINT);
      const int exit_code = running.wait();
      // Small exports may be done before.
      EXPECT_TRUE(exit_code == 130 || (command[0] == "export" && exit_code == 0)) << exit_code;
      if (exit_code == 130) {
        EXPECT_EQ(listing(directory.path()), before);
      }
      std::filesystem::remove(directory / "a.gguf");
      std::filesystem::remove_all(directory / "folder");
    }
  }
}

/// LACONIC_KILLS kills of each job (a few without it), at moments that this seed draws.
int kills() {
  const char* const asked = std::getenv("LACONIC_KILLS");
  return asked != nullptr ? std::atoi(asked) : 3;
}
constexpr unsigned kMoments = 20;

using Job = std::function<std::vector<std::string>(const std::filesystem::path& out)>;

/// Killed at any moment, the same command continues and gives an undisturbed run's bytes.
void expect_survives(const Job& job) {
  const TemporaryDirectory directory;
  const auto whole = directory / "whole", broken = directory / "broken";
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(testing::run(job(whole)).exit_code, 0);
  const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  std::mt19937 random(kMoments);
  int killed = 0;
  for (int i = 0; i < kills(); ++i) {
    const auto moment = time * static_cast<int>(random() % 1000) / 1000;
    SCOPED_TRACE(moment.count());
    Running running(job(broken), directory / "errors");
    if (running.run_for(moment)) running.send(SIGKILL);
    const int exit_code = running.wait();
    const bool is_done = std::filesystem::exists(broken);
    // It may have been quicker than the first, and killed when all was written.
    EXPECT_TRUE(exit_code == 137 || (exit_code == 0 && is_done)) << exit_code << running.errors();
    killed += exit_code == 137 ? 1 : 0;
    if (!is_done) {
      EXPECT_EQ(testing::run(job(broken)).exit_code, 0);
    }
    testing::expect_same_files(whole, broken);
    EXPECT_EQ(listing(directory.path()).count("broken.partial"), 0u);
    std::filesystem::remove_all(broken);
  }
  std::printf("%d kills, %d of them before the end\n", kills(), killed);
}

TEST(Kill, AtAnyMomentGptqContinuesAndGivesTheSameBytes) { expect_survives(gptq_job); }

TEST(Kill, AtAnyMomentQronosContinuesAndGivesTheSameBytes) {
  expect_survives([](const std::filesystem::path& out) {
    auto words = gptq_job(out);
    words[3] = "w2a16-g64-qronos";
    return words;
  });
}

TEST(Kill, AtAnyMomentWithActivationsOnDiskTheJobContinuesAndGivesTheSameBytes) {
  const auto words = [](const std::filesystem::path& out) {
    auto job = gptq_job(out);
    job.insert(job.end(), {"--set", "calibration.windows=96"});
    return job;
  };
  const TemporaryDirectory directory;
  const auto limit = std::to_string(testing::needed_memory(words(directory / "out")) + (4 << 20));
  const auto limited = [&](const std::filesystem::path& out) {
    auto job = words(out);
    job.insert(job.end(), {"--host-memory", limit});
    return job;
  };
  EXPECT_EQ(testing::run_json(limited(directory / "out"))["report"]["memory"]["activations"],
            "disk");
  expect_survives(limited);
}

// Killed between the manifest and the renaming: nothing is computed again.
TEST(Kill, BeforeTheLastRenamingTheJobIsOnlyRenamed) {
  const TemporaryDirectory directory;
  const auto out = directory / "out", whole = directory / "whole";
  ASSERT_EQ(testing::run(gptq_job(out)).exit_code, 0);
  std::filesystem::copy(out, whole);
  std::filesystem::rename(out, out.string() + ".partial");
  const auto report = testing::run_json(gptq_job(out));
  EXPECT_TRUE(report["resumed"]);
  EXPECT_EQ(report["report"]["layers"].size(), kGptqLayers);
  testing::expect_same_files(whole, out);
}

TEST(TwoAtOnce, TheSecondIsRefusedAndTheFirstGoesOn) {
  const TemporaryDirectory directory;
  const auto out = directory / "out";
  Running first(gptq_job(out), directory / "errors");
  ASSERT_TRUE(first.wait_until(
      [&] { return std::filesystem::exists(out.string() + ".partial/job.json"); }));
  testing::expect_failure(gptq_job(out), 2, {"out.partial", "another process is at work"});
  EXPECT_EQ(first.wait(), 0);
  EXPECT_TRUE(std::filesystem::exists(out / "laconic.json"));
}

}  // namespace
}  // namespace laconic
