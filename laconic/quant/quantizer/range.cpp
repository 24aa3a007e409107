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

ScaleRule rule_of(const QuantSpec& spec) {
  const auto rule = statistic_of(spec.scale);
  LACONIC_ASSERT(rule.has_value(), "a scale without a statistic has no range");
  return *rule;
}

at::Tensor flat_scale(const QuantSpec& spec, const at::Tensor& statistic, at::IntArrayRef shape) {
  const auto threshold = code_span(spec, statistic).threshold;
  return quantize_scales(spec, scale_of_statistic(rule_of(spec), statistic, threshold), shape);
}

SearchProblem search_problem(const QuantSpec& spec, const at::Tensor& x,
                             const at::Tensor& importance) {
  const auto rows = rows_of(x, spec.granularity);
  SearchProblem problem{rows,
                        {},
                        row_minimum(AbsMax{}, rows),
                        threshold_code(spanned_threshold(spec), spec.format),
                        scale_shape(x.sizes(), spec.granularity)};
  if (importance.defined())
    problem.importance = rows_of(importance.to(x.scalar_type()).expand_as(x), spec.granularity);
  return problem;
}

/// What OfStatistic means for the spec's statistic.
Minimum minimum_of(const QuantSpec& spec) {
  const Minimum& minimum = spec.range_start.minimum;
  const auto rule = statistic_of(spec.scale);
  if (!std::holds_alternative<OfStatistic>(minimum) || !rule) return minimum;
  if (const auto* mse = std::get_if<Mse>(&rule->statistic)) return MseMinimum{mse->grid_points};
  if (const auto* hqo = std::get_if<HalfQuadratic>(&rule->statistic))
    return HalfQuadraticMinimum{.iterations = hqo->iterations};
  if (const auto* interval = std::get_if<PercentileInterval>(&rule->statistic))
    return LowPercentile{interval->low};
  return Smallest{};
}

}  // namespace

Threshold spanned_threshold(const QuantSpec& spec) {
  const auto rule = statistic_of(spec.scale);
  const Threshold threshold = rule ? rule->threshold : Threshold::kLargestCode;
  const bool spans_all = !is_symmetric(spec) && threshold == Threshold::kLargestCode;
  return spans_all ? Threshold::kCodeCount : threshold;
}

CodeSpan code_span(const QuantSpec& spec, const at::Tensor& like, const at::Tensor& bit_width) {
  if (!bit_width.defined()) {
    const auto options = at::TensorOptions().dtype(like.scalar_type()).device(like.device());
    return {bounds_like(spec.format, like),
            at::full({}, threshold_code(spanned_threshold(spec), spec.format), options)};
  }
  if (const auto* whole = std::get_if<IntFormat>(&spec.format)) {
    const CodeBounds bounds = code_bounds(*whole, bit_width);
    return {bounds, threshold_code(spanned_threshold(spec), bounds, *whole, bit_width)};
  }
  const CodeBounds bounds = code_bounds(std::get<MinifloatFormat>(spec.format), bit_width);
  return {bounds, threshold_code(spanned_threshold(spec), bounds)};
}

at::Tensor find_statistic(const QuantSpec& spec, const at::Tensor& x,
                          const at::Tensor& importance) {
  const ScaleRule rule = rule_of(spec);
  const auto problem = [&] { return search_problem(spec, x, importance); };
  return std::visit(
      Overloaded{
          [&](const Mse& mse) { return search_mse(mse, spec, problem()); },
          [&](const KlDivergence& kl) { return search_divergence(kl, spec, problem()); },
          [&](const HalfQuadratic& hqo) { return search_half_quadratic(hqo, spec, problem()); },
          [&](const auto&) {
            return row_statistic(rule.statistic, rows_of(x, spec.granularity), x);
          }},
      rule.statistic);
}

at::Tensor find_minimum(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& scale,
                        const at::Tensor& importance) {
  const auto rows = rows_of(x, spec.granularity);
  const auto problem = [&] { return search_problem(spec, x, importance); };
  return std::visit(
      Overloaded{[&](const LowPercentile& kind) {
                   return row_minimum(PercentileInterval{.low = kind.q}, rows);
                 },
                 [&](const MseMinimum& mse) { return search_minimum(mse, spec, problem(), scale); },
                 [&](const HalfQuadraticMinimum& hqo) {
                   return search_minimum_half_quadratic(hqo, spec, problem(), scale);
                 },
                 [&](const auto&) { return row_minimum(AbsMax{}, rows); }},
      minimum_of(spec));
}

Range find_range(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& importance) {
  Range range{find_statistic(spec, x, importance), {}};
  if (is_symmetric(spec)) return range;
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  const auto scale = flat_scale(spec, range.statistic, shape).detach();
  range.minimum = find_minimum(spec, x, scale, importance);
  return range;
}

Range range_of_extremes(const QuantSpec& spec, const at::Tensor& low, const at::Tensor& high) {
  const ScaleRule rule = rule_of(spec);
  const auto* interval = std::get_if<MinMax>(&rule.statistic);
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
