#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// Scales as the quantizer of the spec's restriction gives them (QuantizedBy), with gradient; the
/// same scales where there is no such restriction.
/// @param scale  [scales], real units a code
/// @param shape  as scale_shape gives it
at::Tensor quantize_scales(const QuantSpec& spec, const at::Tensor& scale, at::IntArrayRef shape);

/// Zero point of the smallest value of each scale's elements (<= 0), by the spec's part; the minima
/// first as the quantizer of QuantizedMinimum gives them. Shapes broadcast; `minimum` has one
/// number a scale. Undefined for NoZeroPoint.
/// @param shape  as scale_shape gives it
at::Tensor find_zero_point(const QuantSpec& spec, const at::Tensor& minimum,
                           const at::Tensor& scale, at::IntArrayRef shape);

/// The smallest values of each scale's elements (<= 0, one number a scale) as the quantizer of
/// QuantizedMinimum gives them; the same where there is no such part.
at::Tensor quantize_minima(const QuantSpec& spec, const at::Tensor& minimum, at::IntArrayRef shape);

/// `shape` of a scale without the dimensions in which elements share one: [out, groups] for groups
/// of a weight's inputs.
std::vector<int64_t> unshared_shape(at::IntArrayRef shape, const Granularity& granularity);

}  // namespace laconic
