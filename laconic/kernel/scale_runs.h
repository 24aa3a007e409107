#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/kernel/fused/runs.h"

namespace laconic::kernel {

/// The codes that there are, and how real numbers become codes: scale and zero point by run.
struct AffineCodes {
  at::Tensor scale;       ///< [scales] float32, contiguous
  at::Tensor zero_point;  ///< the same, or undefined: none
  float q_min = 0, q_max = 0;
};

// x: float32, contiguous. code = clamp(round(x / scale + zero_point)), half to even; NaN stays NaN.

/// The codes as int8 (q_min < 0) or uint8; q_max - q_min < 256, `x` finite.
at::Tensor codes_of_runs(const at::Tensor& x, const ScaleRuns& runs, const AffineCodes& codes);

/// sum of importance * (fake_quantize(x) - x)^2 of every scale, for each of some candidates of the
/// scales: [candidates, scales] float32, summed in double. `x` is read once from memory for all.
/// @param importance  >= 0, as `x`; or undefined: ones.
/// @param runs   every row has scales of its own.
/// @param codes  scale and zero point [candidates, scales].
at::Tensor squared_errors_of_runs(const at::Tensor& x, const at::Tensor& importance,
                                  const ScaleRuns& runs, const AffineCodes& codes);

}  // namespace laconic::kernel
