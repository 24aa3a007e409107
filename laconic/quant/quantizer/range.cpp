#include "laconic/quant/quantizer/range.h"

#include <ATen/ops/full.h>
#include <ATen/ops/maximum.h>

#include "laconic/base/assert.h"
#include "laconic/base/variant.h"
#include "laconic/quant/quantizer/formula.h"
#include "laconic/quant/quantizer/hierarchy.h"
#include "laconic/quant/quantizer/search.h"

namespace laconic {
namespace {

bool is_symmetric(const QuantSpec& spec) {
  return std::holds_alternative<NoZeroPoint>(spec.zero_point);
}

// An asymmetric range spans all codes whatever the threshold of the symmetric case.
double spanned_codes(const QuantSpec& spec, const StatisticScale& scale) {
  return threshold_code(is_symmetric(spec) ? scale.threshold : Threshold::kCodeCount, spec.format);
}

StatisticScale scale_with_statistic(const QuantSpec& spec) {
  const auto scale = statistic_of(spec.scale);
  LACONIC_ASSERT(scale.has_value(), "a scale without a statistic has no range");
  return *scale;
}

at::Tensor flat_scale(const QuantSpec& spec, const at::Tensor& statistic, at::IntArrayRef shape) {
  const auto scale = scale_with_statistic(spec);
  const auto options = statistic.options().requires_grad(false);
  const auto found =
      scale_of_statistic(scale, statistic, at::full({}, spanned_codes(spec, scale), options));
  return quantize_scales(spec, found, shape);
}

}  // namespace

Range find_range(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& importance) {
  const StatisticScale scale = scale_with_statistic(spec);
  const auto rows = rows_of(x, spec.granularity);
  SearchProblem problem{rows,
                        {},
                        row_minimum(AbsMax{}, rows),
                        spanned_codes(spec, scale),
                        scale_shape(x.sizes(), spec.granularity)};
  if (importance.defined())
    problem.importance = rows_of(importance.to(x.scalar_type()).expand_as(x), spec.granularity);
  Range range;
  range.statistic = std::visit(
      Overloaded{
          [&](const Mse& mse) { return search_mse(mse, spec, problem); },
          [&](const HalfQuadratic& hqo) { return search_half_quadratic(hqo, spec, problem); },
          [&](const auto&) { return row_statistic(scale.statistic, rows, x); }},
      scale.statistic);
  if (is_symmetric(spec)) return range;
  range.minimum = row_minimum(scale.statistic, rows);
  if (const auto* mse = std::get_if<Mse>(&scale.statistic))
    range.minimum =
        search_minimum(*mse, spec, problem, flat_scale(spec, range.statistic, problem.shape));
  return range;
}

Range range_of_extremes(const QuantSpec& spec, const at::Tensor& low, const at::Tensor& high) {
  const StatisticScale scale = scale_with_statistic(spec);
  const auto* interval = std::get_if<MinMax>(&scale.statistic);
  const auto minimum = low.clamp_max(0);
  Range range;
  if (interval == nullptr) {
    range.statistic = at::maximum(low.abs(), high.abs());
  } else {
    range.statistic = ((interval->include_zero ? high.clamp_min(0) : high) - minimum).abs();
  }
  if (!is_symmetric(spec)) range.minimum = minimum;
  return range;
}

QuantParameters parameters_of_range(const QuantSpec& spec, const Range& range,
                                    at::IntArrayRef shape) {
  const auto flat = flat_scale(spec, range.statistic, shape);
  QuantParameters parameters{flat.reshape(shape), {}};
  if (is_symmetric(spec)) return parameters;
  parameters.zero_point =
      find_zero_point(spec, range.minimum.reshape(shape), parameters.scale, shape);
  return parameters;
}

}  // namespace laconic
