#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "laconic/kernel/fused/later_answer.h"
#include "laconic/kernel/half_quadratic/half_quadratic.h"
#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

// The fused kernels, where they know the parts: on the CPU and on CUDA, rounding half to even,
// scales that are shared by consecutive elements (per tensor, per channel, per token, groups of the
// last axis). Else nothing, and the composed path answers. The results are equal bit for bit,
// gradients but for the order of sums.

/// Finds the parameters of `x` by its extremes and quantizes with them, in one go.
struct FusedResult {
  at::Tensor value;            ///< as fake_quantize gives it
  QuantParameters parameters;  ///< as find_parameters gives them
};
std::optional<FusedResult> fused_quantize(const QuantSpec& spec, const at::Tensor& x);

/// Only the value.
std::optional<at::Tensor> fused_dynamic(const QuantSpec& spec, const at::Tensor& x);

/// The same into `value`: contiguous, of the shape and dtype of `x`, memory of its own.
/// @returns whether it was done.
bool fused_quantize_into(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& value);

/// Scales as a quantizer gives them that finds its own scales of them, with gradient; none becomes
/// 0.
/// @param scale  > 0
std::optional<at::Tensor> fused_scales(const QuantSpec& quantizer, const at::Tensor& scale);

/// Only the parameters.
std::optional<QuantParameters> fused_parameters(const QuantSpec& spec, const at::Tensor& x);

/// Whether there is neither NaN nor infinity in `x`, in one pass over memory.
/// @param later  as kernel::is_finite has it
std::optional<bool> fused_is_finite(const at::Tensor& x, kernel::LaterAnswer* later = nullptr);

/// Nothing too for NaN or infinity in `x`.
std::optional<at::Tensor> fused_fake_quantize(const QuantSpec& spec, const at::Tensor& x,
                                              const QuantParameters& parameters);

/// As quantize_codes, for codes of up to 8 bits.
std::optional<at::Tensor> fused_codes(const QuantSpec& spec, const at::Tensor& x,
                                      const QuantParameters& parameters);

/// A half-quadratic search of the scales of `rows`, where the kernel can do the rounds: of many
/// elements. It ends as good as the composed one, not equal.
std::optional<kernel::HalfQuadraticSearch> fused_half_quadratic(const HalfQuadratic& kind,
                                                                const QuantSpec& spec,
                                                                const at::Tensor& rows);

/// Squared error of each row for each candidate, as a search asks for it: [candidates, scales]. No
/// gradient.
/// @param rows        [scales, n]
/// @param importance  the same, or undefined
/// @param parameters  [candidates, scales]
std::optional<at::Tensor> fused_squared_error(const QuantSpec& spec, const at::Tensor& rows,
                                              const at::Tensor& importance,
                                              const QuantParameters& parameters);

}  // namespace laconic
