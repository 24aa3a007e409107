#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "laconic/kernel/scale_runs.h"
#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

// The fused kernels, where they know the parts: on the CPU, without gradient, rounding half to
// even, scales that are shared by consecutive elements (per tensor, per channel, per token, groups
// of the last axis). Else nothing, and the composed path answers. The results are equal bit for
// bit.

std::optional<at::Tensor> fused_fake_quantize(const QuantSpec& spec, const at::Tensor& x,
                                              const QuantParameters& parameters);

/// As quantize_codes, for codes of up to 8 bits.
std::optional<at::Tensor> fused_codes(const QuantSpec& spec, const at::Tensor& x,
                                      const QuantParameters& parameters);

/// For statistics that the extremes say all of: absmax and min-max. `x`: float32.
std::optional<kernel::Extremes> fused_extremes(const QuantSpec& spec, const at::Tensor& x);

/// Squared error of each row, as a search asks for it: [scales]. No gradient.
/// @param rows        [scales, n]
/// @param importance  the same, or undefined
/// @param parameters  [scales] or [scales, 1]
std::optional<at::Tensor> fused_squared_error(const QuantSpec& spec, const at::Tensor& rows,
                                              const at::Tensor& importance,
                                              const QuantParameters& parameters);

}  // namespace laconic
