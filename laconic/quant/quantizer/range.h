#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// The scale's threshold; beside a zero point kLargestCode stands for all codes, kCodeCount.
Threshold spanned_threshold(const QuantSpec& spec);

/// The codes that a range is mapped to, 0-dim; both carry the gradient of a learned bit width.
struct CodeSpan {
  CodeBounds bounds;
  at::Tensor threshold;  ///< codes that the statistic spans
};
/// @param bit_width  0-dim, of a learned bit width; undefined: the format's own.
/// @param like       gives dtype and device.
CodeSpan code_span(const QuantSpec& spec, const at::Tensor& like, const at::Tensor& bit_width = {});

/// What is found of a tensor's numbers before it becomes scale and zero point: [scales] each, in
/// the order of `scale_shape`, real units.
struct Range {
  at::Tensor statistic;  ///< before minimum, restriction and division by the threshold
  at::Tensor minimum;    ///< where the range begins, <= 0; undefined without a zero point
};

/// The range of `x` (floating, with elements) by the spec's statistic, with gradient.
/// @param spec  its scale has a statistic (statistic_of).
/// @param importance  as in find_parameters.
Range find_range(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& importance = {});

/// The two halves of find_range. @param scale  the scale that the zero point will have, [scales].
at::Tensor find_statistic(const QuantSpec& spec, const at::Tensor& x,
                          const at::Tensor& importance = {});
at::Tensor find_minimum(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& scale,
                        const at::Tensor& importance = {});

/// The range of a statistic that extremes say all of (absmax, min_max): `low` and `high` [scales].
Range range_of_extremes(const QuantSpec& spec, const at::Tensor& low, const at::Tensor& high);

/// Scale and zero point of a range, in the shape `shape`, with gradient.
QuantParameters parameters_of_range(const QuantSpec& spec, const Range& range,
                                    at::IntArrayRef shape);

}  // namespace laconic
