// The program `laconic` as a user starts it. LibTorch takes a third of a second to load, so this
// part is without it: it answers help, version and wrong use, and gives everything else to the
// program beside it.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "laconic/cli/command_line.h"

namespace {

constexpr const char* kCore = "laconic-core";

// Beside this program in a build tree, in lib/laconic when installed.
std::filesystem::path find_core() {
  std::error_code failure;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", failure).parent_path();
  const auto installed = here / ".." / LACONIC_CORE_DIRECTORY / kCore;
  return std::filesystem::exists(installed, failure) ? installed : here / kCore;
}

// Threads of one product wait for the next: spinning for a while, then asleep. OpenMP's own
// while is so long that beside another busy process the cores do little else; a user's choice
// stays.
void shorten_spinning() {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr)
    ::setenv("GOMP_SPINCOUNT", "10000", /*overwrite=*/0);
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = laconic::parse_command_line(argc, argv);
  if (const auto* finished = std::get_if<laconic::Finished>(&parsed)) {
    std::ostream& stream = finished->exit_code == 0 ? std::cout : std::cerr;
    stream << finished->text << std::flush;
    if (stream) return finished->exit_code;
    std::fputs("laconic: error: standard output: writing failed. Is the disk full?\n", stderr);
    return 1;
  }
  shorten_spinning();
  const std::string core = find_core();
  ::execv(core.c_str(), argv);
  std::fprintf(
      stderr,
      "laconic: error: %s: cannot start it: %s. It belongs beside this program; install again.\n",
      core.c_str(), std::strerror(errno));
  return 1;
}
