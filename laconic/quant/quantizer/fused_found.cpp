// Quantizers whose scales are found of the tensor's extremes.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "laconic/kernel/fresh_memory.h"
#include "laconic/kernel/fused/fused.h"
#include "laconic/quant/quantizer/deferred_checks.h"
#include "laconic/quant/quantizer/fused.h"
#include "laconic/quant/quantizer/fused_call.h"
#include "laconic/quant/quantizer/fused_gradient.h"
#include "laconic/quant/quantizer/hierarchy.h"
#include "laconic/quant/quantizer/range.h"

namespace laconic {
namespace {

using c10::ScalarType;

bool all_finite(const at::Tensor& x) { return !x.defined() || x.isfinite().all().item<bool>(); }

QuantParameters empty_numbers(const FusedCall& call, const at::Tensor& x) {
  const auto options = x.options().dtype(ScalarType::Float).requires_grad(false);
  QuantParameters numbers{at::empty({call.runs.scales()}, options), {}};
  if (call.rule->zero_point != kernel::ZeroRule::kNone)
    numbers.zero_point = at::empty({call.runs.scales()}, options);
  return numbers;
}

QuantParameters shaped(const QuantParameters& numbers, const QuantSpec& spec,
                       at::IntArrayRef sizes) {
  const auto shape = scale_shape(sizes, spec.granularity);
  const auto& zero_point = numbers.zero_point;
  return {numbers.scale.reshape(shape),
          zero_point.defined() ? zero_point.reshape(shape) : zero_point};
}

/// Numbers of a rule that the loops do not know: from the extremes, by the composed path.
std::optional<QuantParameters> numbers_of_extremes(const FusedCall& call, const QuantSpec& spec,
                                                   const at::Tensor& x, at::IntArrayRef sizes) {
  const at::NoGradGuard no_gradient;
  const auto extremes = kernel::find_extremes(x, call.runs, call.of_magnitude);
  if (!all_finite(extremes.low) || !all_finite(extremes.high)) return std::nullopt;
  const auto& low = extremes.low.defined() ? extremes.low : extremes.high;
  const auto parameters = parameters_of_range(spec, range_of_extremes(spec, low, extremes.high),
                                              scale_shape(sizes, spec.granularity));
  if (!all_finite(parameters.scale)) return std::nullopt;
  return parameters;
}

/// Elements that a scale may be: the smallest above 0 stands for 0, and nothing is negative.
kernel::ElementGrid above_zero(kernel::ElementGrid grid) {
  const bool is_whole = grid.kind == kernel::GridKind::kInteger;
  grid.low = std::max(grid.low, is_whole ? 1.0F : grid.lowest_power * grid.relative_step);
  return grid;
}

/// Scales that a quantizer with one scale for all of them quantizes: that scale hangs on the
/// largest element alone, so they can be found and quantized run by run. Undefined: another kind.
kernel::CodedScales coded_scales(const FusedCall& call, const QuantSpec& spec, const at::Tensor& x,
                                 kernel::LaterAnswer* later) {
  const bool is_found = !std::holds_alternative<LearnedScale>(spec.scale) &&
                        !std::holds_alternative<DecoupledScale>(spec.scale);
  const QuantSpec& quantizer =
      *std::get<QuantizedBy>(statistic_of(spec.scale)->restriction).quantizer;
  if (!is_found || call.rule->statistic != kernel::RangeStatistic::kAbsMax ||
      !std::holds_alternative<PerTensor>(quantizer.granularity))
    return {};
  const at::NoGradGuard no_gradient;
  const auto of_scales = fused_call(quantizer, x);
  if (!of_scales || !of_scales->rule || of_scales->quantizes_scales ||
      of_scales->rule->zero_point != kernel::ZeroRule::kNone)
    return {};
  const at::Tensor scale = at::empty({1}, x.options().dtype(ScalarType::Float));
  if (!kernel::find_scale_of_scales(x, {*call.rule, *of_scales->rule}, scale, later)) return {};
  return {scale, above_zero(of_scales->grid), *of_scales->rule,
          std::holds_alternative<Clipped>(quantizer.gradient)};
}

/// What becomes of the scales of the call, which quantizes `x`, readable.
void find_codes(FusedCall& call, const QuantSpec& spec, const at::Tensor& x, FusedAnswer& answer) {
  if (call.quantizes_scales) call.codes = coded_scales(call, spec, x, answer.later());
}

/// Scales of the rule, as the quantizer of the spec's restriction gives them.
std::optional<QuantParameters> numbers_of_scales(const FusedCall& call, const QuantSpec& spec,
                                                 const at::Tensor& x, at::IntArrayRef sizes) {
  const at::NoGradGuard no_gradient;
  const QuantParameters numbers = empty_numbers(call, x);
  if (!kernel::quantize_found(x, call.runs, call.grid, *call.rule, {}, {numbers.scale, {}}))
    return std::nullopt;
  const auto shape = scale_shape(sizes, spec.granularity);
  return QuantParameters{quantize_scales(spec, numbers.scale, shape).reshape(shape), {}};
}

/// Parameters, and the value where `value` is defined; `x` and `value` are readable.
/// @returns nothing for NaN or infinity in `x`.
std::optional<QuantParameters> found(const FusedCall& call, const QuantSpec& spec,
                                     const at::Tensor& x, const at::Tensor& value,
                                     at::IntArrayRef sizes, FusedAnswer& answer) {
  if (call.rule && (!call.quantizes_scales || call.codes.scale.defined())) {
    const QuantParameters numbers = empty_numbers(call, x);
    if (!kernel::quantize_found(x, call.runs, call.grid, *call.rule, value,
                                {numbers.scale, numbers.zero_point}, call.codes, answer.later()) ||
        !answer.all_finite())
      return std::nullopt;
    return shaped(numbers, spec, sizes);
  }
  const auto parameters = call.quantizes_scales ? numbers_of_scales(call, spec, x, sizes)
                                                : numbers_of_extremes(call, spec, x, sizes);
  // Not said to be finite: under a scale that is restricted to small ones a quotient may not be.
  if (parameters && value.defined())
    kernel::quantize_given(x, call.runs, call.grid,
                           {flat(parameters->scale), flat(parameters->zero_point)}, value);
  return parameters;
}

/// Only the value: without room for the numbers where the loops need none.
bool value_found(const FusedCall& call, const QuantSpec& spec, const at::Tensor& x,
                 const at::Tensor& value, at::IntArrayRef sizes, FusedAnswer& answer) {
  if (!call.rule || (call.quantizes_scales && !call.codes.scale.defined()))
    return found(call, spec, x, value, sizes, answer).has_value();
  return kernel::quantize_found(x, call.runs, call.grid, *call.rule, value, {}, call.codes,
                                answer.later()) &&
         answer.all_finite();
}

}  // namespace

bool fused_quantize_into(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& value) {
  auto call = fused_call(spec, x);
  if (!call || needs_gradient(x)) return false;
  const at::Tensor real = readable(x);
  FusedAnswer answer(spec);
  find_codes(*call, spec, real, answer);
  const bool is_same = real.scalar_type() == value.scalar_type();
  const at::Tensor room = is_same ? value : kernel::fresh_like(real);
  if (!value_found(*call, spec, real, room, x.sizes(), answer)) return false;
  if (!is_same) value.copy_(room);
  return true;
}

std::optional<at::Tensor> fused_dynamic(const QuantSpec& spec, const at::Tensor& x) {
  auto call = fused_call(spec, x);
  if (!call || (needs_gradient(x) && !has_fused_gradient(call->runs))) return std::nullopt;
  const at::Tensor real = readable(x), value = kernel::fresh_like(real);
  FusedAnswer answer(spec);
  find_codes(*call, spec, real, answer);
  if (!needs_gradient(x)) {
    if (!value_found(*call, spec, real, value, x.sizes(), answer)) return std::nullopt;
    return value.to(x.scalar_type());
  }
  const auto parameters = found(*call, spec, real, value, x.sizes(), answer);
  if (!parameters) return std::nullopt;
  return with_dynamic_gradient(spec, *call, x, {value.to(x.scalar_type()), *parameters});
}

std::optional<FusedResult> fused_quantize(const QuantSpec& spec, const at::Tensor& x) {
  auto call = fused_call(spec, x);
  if (!call || needs_gradient(x)) return std::nullopt;
  const at::Tensor real = readable(x), value = kernel::fresh_like(real);
  FusedAnswer answer(spec);
  find_codes(*call, spec, real, answer);
  const auto parameters = found(*call, spec, real, value, x.sizes(), answer);
  if (!parameters) return std::nullopt;
  return FusedResult{value.to(x.scalar_type()), *parameters};
}

std::optional<at::Tensor> fused_scales(const QuantSpec& quantizer, const at::Tensor& scale) {
  auto call = fused_call(quantizer, scale);
  if (!call || scale.scalar_type() != ScalarType::Float ||
      !std::holds_alternative<NoZeroPoint>(quantizer.zero_point) ||
      (needs_gradient(scale) && !has_fused_gradient(call->runs)))
    return std::nullopt;
  const at::Tensor real = readable(scale), value = kernel::fresh_like(real);
  FusedAnswer answer(quantizer);
  find_codes(*call, quantizer, real, answer);
  FusedCall of_scales = *call;
  of_scales.grid = above_zero(call->grid);
  const auto parameters = found(of_scales, quantizer, real, value, scale.sizes(), answer);
  if (!parameters) return std::nullopt;
  // That none becomes 0 is no part of the gradient.
  return needs_gradient(scale)
             ? with_dynamic_gradient(quantizer, *call, scale, {value, *parameters})
             : value;
}

std::optional<QuantParameters> fused_parameters(const QuantSpec& spec, const at::Tensor& x) {
  auto call = fused_call(spec, x);
  if (!call || needs_gradient(x)) return std::nullopt;
  const at::Tensor real = readable(x);
  FusedAnswer answer(spec);
  find_codes(*call, spec, real, answer);
  return found(*call, spec, real, {}, x.sizes(), answer);
}

}  // namespace laconic
