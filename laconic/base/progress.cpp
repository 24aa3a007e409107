#include "laconic/base/progress.h"

#include <unistd.h>

#include <array>
#include <cstdio>

#include "laconic/base/interrupt.h"
#include "laconic/base/text.h"

namespace laconic {
namespace {
constexpr double kTerminalPeriod = 0.2, kPlainPeriod = 10.0;
}

Progress::Progress(std::string label, int64_t total, bool enabled)
    : label_(std::move(label)),
      total_(total),
      enabled_(enabled),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      shown_(start_) {}

Progress::~Progress() {
  if (enabled_ && terminal_ && done_ > 0) std::fputc('\n', stderr);
}

void Progress::advance(int64_t steps, const std::string& detail) {
  check_interrupt();
  done_ += steps;
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  const double since = std::chrono::duration<double>(now - shown_).count();
  const bool last = done_ >= total_;
  if (!last && since < (terminal_ ? kTerminalPeriod : kPlainPeriod)) return;
  shown_ = now;
  show(detail, last);
}

void Progress::show(const std::string& detail, bool last) {
  const double elapsed = std::chrono::duration<double>(shown_ - start_).count();
  const double rate = elapsed > 0 ? static_cast<double>(done_) / elapsed : 0;
  const double left = rate > 0 ? static_cast<double>(total_ - done_) / rate : 0;
  std::array<char, 64> figures{};
  std::snprintf(figures.data(), figures.size(), "%.3g/s", rate);
  const std::string line =
      label_ + ": " + std::to_string(done_) + "/" + std::to_string(total_) + ", " + figures.data() +
      ", " + (last ? readable_seconds(elapsed) + " in all" : readable_seconds(left) + " left") +
      (detail.empty() ? "" : ", " + detail);
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

}  // namespace laconic
