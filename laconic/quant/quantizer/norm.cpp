#include "laconic/quant/quantizer/norm.h"

#include <ATen/ops/exp2.h>
#include <ATen/ops/log2.h>

#include <cmath>

namespace laconic {
namespace {

double minimum_of(const Scale& scale) {
  const auto* norm = std::get_if<WeightNormScale>(&scale);
  return norm != nullptr ? norm->minimum : std::get<AccumulatorScale>(scale).minimum;
}

Statistic norm_of(const Scale& scale) {
  if (std::holds_alternative<WeightNormScale>(scale)) return L2Norm{};
  return L1Norm{};
}

at::Tensor restored(const at::Tensor& logarithm, double minimum) {
  return at_least(at::exp2(logarithm), minimum);
}

}  // namespace

bool is_norm(const Scale& scale) {
  return std::holds_alternative<WeightNormScale>(scale) ||
         std::holds_alternative<AccumulatorScale>(scale);
}

double norm_bound(const AccumulatorScale& scale) {
  const auto bits = static_cast<double>(scale.accumulator_bits),
             inputs = static_cast<double>(scale.input_bits);
  if (scale.zero_centered) return (std::exp2(bits) - 2) / (std::exp2(inputs) - 1);
  return (std::exp2(bits - 1) - 1) * std::exp2((scale.input_signed ? 1 : 0) - inputs);
}

NormState initial_norm_state(const QuantSpec& spec, const at::Tensor& x) {
  const auto plain = x.detach(), rows = rows_of(plain, spec.granularity);
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  const double least = minimum_of(spec.scale);
  const auto q_max = static_cast<double>(code_range(spec.format).q_max);
  const auto logarithm = [&](const at::Tensor& value) {
    return value.clamp_min(least).log2().reshape(shape);
  };
  const auto scale = logarithm(row_statistic(AbsMax{}, rows, plain) / q_max);
  const auto norm = row_statistic(norm_of(spec.scale), rows, plain);
  const bool is_plain = std::holds_alternative<WeightNormScale>(spec.scale);
  return {is_plain ? norm.clamp_min(least).reshape(shape) : logarithm(norm), scale, scale.clone()};
}

QuantParameters parameters_of_norm(const QuantSpec& spec, const at::Tensor& x,
                                   const NormState& state) {
  const double least = minimum_of(spec.scale);
  const auto* accumulator = std::get_if<AccumulatorScale>(&spec.scale);
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  auto rows = rows_of(x, spec.granularity);
  at::Tensor center;
  if (accumulator != nullptr && accumulator->zero_centered) {
    center = rows.mean(1, /*keepdim=*/true);
    rows = rows - center;
  }
  const auto norm = row_statistic(norm_of(spec.scale), rows, x).reshape(shape);
  const auto s = restored(state.code_scale, least);
  QuantParameters parameters{restored(state.scale, least), {}};
  if (accumulator == nullptr) {
    parameters.code_scale = at_least(s * norm / at_least(state.norm, least), least);
    return parameters;
  }
  const auto g = restored(state.norm, least);
  parameters.code_scale = at_least(norm / (g / s).clamp_max(norm_bound(*accumulator)), least);
  if (center.defined())
    parameters.code_zero_point = center.reshape(shape).neg() / parameters.code_scale;
  return parameters;
}

}  // namespace laconic
