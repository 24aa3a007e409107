#pragma once

#include <cstdint>

namespace laconic::optimize {

/// A number that stays at `start` for a share of the steps and then falls in a line to `end`.
struct LinearDecay {
  int64_t steps = 100;
  double warmup = 0;  ///< share of the steps, in [0, 1)
  double start = 1, end = 0;

  /// At step `step`; after the last it stays at `end`.
  double at(int64_t step) const;
};

}  // namespace laconic::optimize
