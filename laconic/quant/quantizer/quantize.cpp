#include "laconic/quant/quantizer/quantize.h"

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include "laconic/base/variant.h"
#include "laconic/quant/quantizer/formula.h"
#include "laconic/quant/quantizer/search.h"

namespace laconic {
namespace {

void check_finite(const at::Tensor& x) {
  // One pass: a sum is finite only when all terms are, or when it overflows; then look closer.
  const auto bad = x.isfinite().logical_not();
  TORCH_CHECK_VALUE(!bad.any().item<bool>(),
                    "[quantize] expected finite numbers, got NaN or infinity in ",
                    bad.sum().item<int64_t>(), " of ", x.numel(), " elements (shape ", x.sizes(),
                    "). Look for a broken checkpoint or an overflow in half precision.");
}

SearchProblem search_problem(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& rows,
                             const at::Tensor& importance) {
  SearchProblem problem{rows, {}, row_minimum(AbsMax{}, rows), 0};
  if (importance.defined())
    problem.importance = rows_of(importance.to(x.scalar_type()).expand_as(x), spec.granularity);
  return problem;
}

template <typename Kind>
QuantParameters from_statistic(const QuantSpec& spec, const Kind& kind, const at::Tensor& x,
                               const at::Tensor& importance) {
  const StatisticScale scale{kind.statistic, kind.restriction, kind.minimum, kind.threshold};
  const auto& format = std::get<IntFormat>(spec.format);
  const auto rows = rows_of(x, spec.granularity);
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  const CodeBounds bounds = bounds_like(spec.format, x);
  const bool symmetric = std::holds_alternative<NoZeroPoint>(spec.zero_point);
  // An asymmetric range spans all codes whatever the threshold of the symmetric case.
  const double threshold = symmetric ? threshold_code(scale.threshold, format)
                                     : threshold_code(Threshold::kCodeCount, format);
  SearchProblem problem = search_problem(spec, x, rows, importance);
  problem.threshold = threshold;
  const auto statistic = std::visit(
      Overloaded{
          [&](const Mse& mse) { return search_mse(mse, spec, problem); },
          [&](const HalfQuadratic& hqo) { return search_half_quadratic(hqo, spec, problem); },
          [&](const auto&) { return row_statistic(scale.statistic, rows, x); }},
      scale.statistic);
  QuantParameters parameters;
  const auto flat = scale_of_statistic(scale, statistic,
                                       at::full({}, threshold, x.options().requires_grad(false)));
  parameters.scale = flat.reshape(shape);
  if (symmetric) return parameters;
  auto minimum = row_minimum(scale.statistic, rows);
  if (const auto* mse = std::get_if<Mse>(&scale.statistic))
    minimum = search_minimum(*mse, spec, problem, flat);
  parameters.zero_point =
      zero_point_of_minimum(spec.zero_point, minimum.reshape(shape), parameters.scale, bounds,
                            {spec.rounding, spec.gradient});
  return parameters;
}

QuantParameters empty_parameters(const QuantSpec& spec, const at::Tensor& x) {
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  QuantParameters parameters{at::ones(shape, x.options().requires_grad(false)), {}};
  if (!std::holds_alternative<NoZeroPoint>(spec.zero_point)) {
    parameters.zero_point = at::full(shape, static_cast<double>(code_range(spec.format).q_min),
                                     x.options().requires_grad(false));
  }
  return parameters;
}

c10::ScalarType code_dtype(const Format& format) {
  const auto& kind = std::get<IntFormat>(format);
  if (kind.bit_width > 8) return c10::ScalarType::Int;
  return kind.is_signed ? c10::ScalarType::Char : c10::ScalarType::Byte;
}

}  // namespace

QuantParameters find_parameters(const QuantSpec& spec, const at::Tensor& x,
                                const at::Tensor& importance) {
  check(spec);
  TORCH_CHECK_TYPE(x.is_floating_point(), "[quantize] expected a floating tensor, got ",
                   x.scalar_type(), ".");
  check_granularity(spec.granularity, x.sizes());
  if (x.numel() == 0) return empty_parameters(spec, x);
  check_finite(x.detach());
  // Half precision loses the divisions: parameters are found in float32.
  const auto real = x.scalar_type() == c10::ScalarType::Double ? x : x.to(c10::ScalarType::Float);
  return std::visit(
      Overloaded{[&](const ConstantScale& scale) {
                   QuantParameters parameters = empty_parameters(spec, real);
                   parameters.scale =
                       at::full(parameters.scale.sizes(), scale.value, parameters.scale.options());
                   if (std::holds_alternative<NoZeroPoint>(spec.zero_point)) return parameters;
                   const auto minimum = row_minimum(AbsMax{}, rows_of(real, spec.granularity));
                   parameters.zero_point = zero_point_of_minimum(
                       spec.zero_point, minimum.reshape(parameters.scale.sizes()), parameters.scale,
                       bounds_like(spec.format, real), {spec.rounding, spec.gradient});
                   return parameters;
                 },
                 [&](const auto& scale) { return from_statistic(spec, scale, real, importance); }},
      spec.scale);
}

at::Tensor quantize_codes(const QuantSpec& spec, const at::Tensor& x,
                          const QuantParameters& parameters) {
  const auto real = x.detach().to(parameters.scale.scalar_type());
  const auto codes = integer_codes(
      grouped(real, spec.granularity), parameters.scale.detach(),
      parameters.zero_point.defined() ? parameters.zero_point.detach() : parameters.zero_point,
      bounds_like(spec.format, real), spec);
  return ungrouped(codes, x.sizes(), spec.granularity).to(code_dtype(spec.format)).contiguous();
}

at::Tensor dequantize(const QuantSpec& spec, const at::Tensor& codes,
                      const QuantParameters& parameters) {
  const auto view = grouped(codes.to(parameters.scale.scalar_type()), spec.granularity);
  return ungrouped(real_values(view, parameters.scale, parameters.zero_point), codes.sizes(),
                   spec.granularity);
}

at::Tensor fake_quantize_composed(const QuantSpec& spec, const at::Tensor& x,
                                  const QuantParameters& parameters) {
  const auto real = x.to(parameters.scale.scalar_type());
  const auto codes = integer_codes(grouped(real, spec.granularity), parameters.scale,
                                   parameters.zero_point, bounds_like(spec.format, real), spec);
  const auto value = real_values(codes, parameters.scale, parameters.zero_point);
  return ungrouped(value, x.sizes(), spec.granularity).to(x.scalar_type());
}

at::Tensor fake_quantize(const QuantSpec& spec, const at::Tensor& x,
                         const QuantParameters& parameters) {
  return fake_quantize_composed(spec, x, parameters);
}

at::Tensor fake_quantize_dynamic(const QuantSpec& spec, const at::Tensor& x) {
  return fake_quantize(spec, x, find_parameters(spec, x));
}

}  // namespace laconic
