#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// What is found of a tensor's numbers before it becomes scale and zero point: [scales] each, in
/// the order of `scale_shape`, real units.
struct Range {
  at::Tensor statistic;  ///< before minimum, restriction and division by the threshold
  at::Tensor minimum;    ///< where the range begins, <= 0; undefined without a zero point
};

/// The range of `x` (floating, finite, with elements) by the spec's statistic, with gradient.
/// @param spec  its scale has a statistic (statistic_of).
/// @param importance  as in find_parameters.
Range find_range(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& importance = {});

/// The range of a statistic that extremes say all of (absmax, min_max): `low` and `high` [scales].
Range range_of_extremes(const QuantSpec& spec, const at::Tensor& low, const at::Tensor& high);

/// Scale and zero point of a range, in the shape `shape`, with gradient.
QuantParameters parameters_of_range(const QuantSpec& spec, const Range& range,
                                    at::IntArrayRef shape);

}  // namespace laconic
