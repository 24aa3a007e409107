#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <limits>

namespace laconic::bench {

/// Seconds of the fastest of five calls.
template <typename Function>
double seconds_of(const Function& function) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    function();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  return best;
}

/// Times `ours`, and `theirs` before and after it; the counter "theirs/ours" says how many times
/// faster ours is.
template <typename Ours, typename Theirs>
void compare(benchmark::State& state, const Ours& ours, const Theirs& theirs) {
  const double before = seconds_of(theirs);
  double best = std::numeric_limits<double>::infinity();
  for (auto iteration : state) {
    const auto begin = std::chrono::steady_clock::now();
    ours();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  const double after = seconds_of(theirs);
  state.counters["theirs_ms"] = std::min(before, after) * 1e3;
  state.counters["theirs/ours"] = std::min(before, after) / best;
}

}  // namespace laconic::bench
