#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace laconic {

/// Shows how far long work is on standard error: one rewritten line on a terminal, a plain line
/// every few seconds otherwise; nothing when disabled. Each `advance` also looks for Ctrl-C.
class Progress {
 public:
  Progress(std::string label, int64_t total, bool enabled);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `detail` is shown behind the rate ("model.layers.3").
  /// @throws Interrupted after Ctrl-C or a polite kill.
  void advance(int64_t steps = 1, const std::string& detail = "");

 private:
  void show(const std::string& detail, bool last);
  std::string label_;
  int64_t total_, done_ = 0;
  bool enabled_, terminal_;
  std::chrono::steady_clock::time_point start_, shown_;
};

/// Seconds since construction.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace laconic
