#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// clamp(round(x / scale + zero_point), q_min, q_max): elements of the spec's format as floats,
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
