#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// x / scale + zero_point: real numbers in units of the scale. `zero_point` may be undefined.
/// Infinity becomes NaN, also for a format that has an infinity, which keeps it for what is too
/// large: clamped it would be a number.
at::Tensor units_of(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point);

/// clamp(round(units_of(x)), q_min, q_max): elements of the spec's format as floats,
/// with the gradients of rounding and clamp. `zero_point` may be undefined. Shapes broadcast.
/// @param state  of the rounding, in the shape of `x`.
at::Tensor elements_of(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                       const CodeBounds& bounds, const QuantSpec& parts,
                       const RoundingState& state = {});

/// (elements - zero_point) * scale.
at::Tensor real_values(const at::Tensor& elements, const at::Tensor& scale,
                       const at::Tensor& zero_point);

/// Smallest and largest element of the format as 0-dim float tensors beside `like`.
CodeBounds bounds_like(const Format& format, const at::Tensor& like);

}  // namespace laconic
