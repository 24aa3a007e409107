#include "laconic/quant/quantizer/quantize.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "laconic/base/variant.h"
#include "laconic/kernel/straight_through.h"
#include "laconic/quant/quantizer/complex_pairs.h"
#include "laconic/quant/quantizer/deferred_checks.h"
#include "laconic/quant/quantizer/format_choice.h"
#include "laconic/quant/quantizer/formula.h"
#include "laconic/quant/quantizer/fused.h"
#include "laconic/quant/quantizer/hierarchy.h"
#include "laconic/quant/quantizer/norm.h"
#include "laconic/quant/quantizer/plane_sum.h"
#include "laconic/quant/quantizer/range.h"

namespace laconic {
namespace {

// Half precision loses the divisions: parameters are found in float32.
c10::ScalarType parameter_dtype(const at::Tensor& x) {
  return x.scalar_type() == c10::ScalarType::Double ? c10::ScalarType::Double
                                                    : c10::ScalarType::Float;
}

// Of finite numbers: a sum or a difference of them may be more than the dtype holds.
void check_held(const QuantSpec& spec, const at::Tensor& numbers, std::string_view what) {
  if (spec.non_finite == NonFinite::kPropagate) return;
  TORCH_CHECK_VALUE(numbers.isfinite().all().item<bool>(), "[scale] the ", what,
                    " of the numbers is more than ", numbers.scalar_type(), " holds, by ",
                    to_string(spec), ". Scale the tensor down, or choose statistic absmax.");
}

QuantParameters empty_parameters(const QuantSpec& spec, const at::Tensor& x) {
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  const auto options = x.options().dtype(parameter_dtype(x)).requires_grad(false);
  QuantParameters parameters{at::ones(shape, options), {}};
  if (std::holds_alternative<ChoiceFormat>(spec.format))
    parameters.choice = at::zeros(shape, options.dtype(c10::ScalarType::Byte));
  if (const int64_t beside = scales_beside(spec.format); beside > 0) {
    auto others = shape;
    others.insert(others.begin(), beside);
    parameters.plane_scales = at::ones(others, options);
  }
  if (!std::holds_alternative<NoZeroPoint>(spec.zero_point)) {
    parameters.zero_point = at::full(shape, element_range(spec.format).low, options);
  }
  return parameters;
}

void check_floating(const at::Tensor& x) {
  const auto dtype = x.scalar_type();
  const bool is_known = dtype == c10::ScalarType::Float || dtype == c10::ScalarType::Double ||
                        dtype == c10::ScalarType::Half || dtype == c10::ScalarType::BFloat16;
  TORCH_CHECK_TYPE(is_known,
                   "[quantize] expected a floating tensor (float32, float64, float16 or bfloat16), "
                   "got ",
                   dtype, ". Convert it first.");
}

QuantParameters detached(const QuantParameters& parameters) {
  const auto plain = [](const at::Tensor& x) { return x.defined() ? x.detach() : x; };
  return {plain(parameters.scale),
          plain(parameters.zero_point),
          parameters.rounding,
          plain(parameters.code_scale),
          plain(parameters.code_zero_point),
          plain(parameters.bit_width),
          parameters.choice,
          parameters.plane_scales};
}

// Scales that need no statistic: a constant, and a rule of a user's own.
QuantParameters from_rule(const QuantSpec& spec, const at::Tensor& x,
                          const at::Tensor& importance) {
  QuantParameters parameters = empty_parameters(spec, x);
  const auto shape = parameters.scale.sizes().vec();
  const auto rows = rows_of(x, spec.granularity);
  const CodeBounds bounds = bounds_like(spec.format, x);
  if (const auto* constant = std::get_if<ConstantScale>(&spec.scale)) {
    parameters.scale = at::full(shape, constant->value, parameters.scale.options());
  } else {
    const auto& rule = std::get<CustomScale>(spec.scale);
    parameters.scale = rule.function(rule.parameters, rows, bounds).reshape(shape);
    const auto& scale = parameters.scale;
    TORCH_CHECK_VALUE(scale.isfinite().logical_and(scale.gt(0)).all().item<bool>(), "[scale] ",
                      rule.name, ": expected finite scales more than 0, got others.");
  }
  if (std::holds_alternative<NoZeroPoint>(spec.zero_point)) return parameters;
  const auto minimum = find_minimum(spec, x, parameters.scale.detach().reshape(-1), importance);
  parameters.zero_point = find_zero_point(spec, minimum.reshape(shape), parameters.scale, shape);
  return parameters;
}

// The state of the rounding beside the grouped view of the tensor.
RoundingState grouped_state(const QuantSpec& spec, const QuantParameters& parameters) {
  RoundingState state = parameters.rounding;
  if (state.value.defined()) state.value = grouped(state.value, spec.granularity);
  return state;
}

// The elements of numbers that are laid out for their scales.
at::Tensor elements_in_view(const QuantSpec& spec, const at::Tensor& view,
                            const QuantParameters& parameters, const CodeBounds& bounds) {
  const bool decoupled = parameters.code_scale.defined();
  const auto& scale = decoupled ? parameters.code_scale : parameters.scale;
  const auto& zero_point = decoupled ? parameters.code_zero_point : parameters.zero_point;
  const auto* minifloat = std::get_if<MinifloatFormat>(&spec.format);
  if (minifloat == nullptr || !parameters.bit_width.defined())
    return elements_of(view, scale, zero_point, bounds, spec, grouped_state(spec, parameters));
  return format_elements(*minifloat, units_of(view, scale, zero_point),
                         {bounds, spec.rounding, spec.gradient, grouped_state(spec, parameters)},
                         parameters.bit_width);
}

bool is_choice(const QuantSpec& spec) { return std::holds_alternative<ChoiceFormat>(spec.format); }

bool has_pairs(const QuantSpec& spec) {
  return std::holds_alternative<ComplexSignsFormat>(spec.format);
}

// Formats of several scales.
bool has_several(const QuantSpec& spec) { return scales_beside(spec.format) > 0; }

QuantParameters find_several(const QuantSpec& spec, const at::Tensor& x) {
  return has_pairs(spec) ? find_pair_scales(spec, x) : find_plane_scales(spec, x);
}
void check_scales_beside(const QuantSpec& spec, const QuantParameters& parameters) {
  auto expected = parameters.scale.sizes().vec();
  expected.insert(expected.begin(), scales_beside(spec.format));
  const at::Tensor& others = parameters.plane_scales;
  TORCH_CHECK_VALUE(others.defined() && others.sizes() == expected, "[quantize] parameters of ",
                    describe(spec.format), ": expected scales beside the first, ",
                    at::IntArrayRef(expected), ", got ",
                    others.defined() ? others.sizes() : at::IntArrayRef{},
                    ". Find them with find_parameters.");
}
at::Tensor codes_of_several(const QuantSpec& spec, const at::Tensor& x,
                            const QuantParameters& parameters) {
  check_scales_beside(spec, parameters);
  return has_pairs(spec) ? pair_codes(spec, x) : nearest_plane_codes(spec, x, parameters);
}
at::Tensor value_of_several(const QuantSpec& spec, const at::Tensor& codes,
                            const QuantParameters& parameters) {
  check_scales_beside(spec, parameters);
  return has_pairs(spec) ? value_of_pairs(spec, codes, parameters)
                         : value_of_planes(spec, codes, parameters);
}

// NaN and infinity have no code: they become NaN.
at::Tensor straight_through_several(const QuantSpec& spec, const at::Tensor& x,
                                    const QuantParameters& parameters) {
  const auto codes = codes_of_several(spec, x, parameters);
  const auto value = value_of_several(spec, codes, parameters).to(x.scalar_type());
  const auto unknown = x.detach().isfinite().logical_not();
  return straight_through(x, value.masked_fill(unknown, std::numeric_limits<double>::quiet_NaN()));
}

bool has_nan_code(const Format& format) {
  const auto* minifloat = std::get_if<MinifloatFormat>(&format);
  return minifloat != nullptr && minifloat->specials != FloatSpecials::kNone;
}

}  // namespace

void check_quantizable(const at::Tensor& x) {
  check_floating(x);
  if (x.numel() == 0 || fused_is_finite(x, deferred_answer()).value_or(false)) return;
  const auto bad = x.detach().isfinite().logical_not();
  TORCH_CHECK_VALUE(!bad.any().item<bool>(),
                    "[quantize] expected finite numbers, got NaN or infinity in ",
                    bad.sum().item<int64_t>(), " of ", x.numel(), " elements (shape ", x.sizes(),
                    "). Look for a broken checkpoint or an overflow in half precision.");
}

QuantParameters find_parameters(const QuantSpec& spec, const at::Tensor& x,
                                const at::Tensor& importance) {
  check(spec);
  check_floating(x);
  check_granularity(spec.granularity, x.sizes());
  if (x.numel() == 0) return empty_parameters(spec, x);
  if (is_choice(spec)) return find_parameters(choice_of(spec), x, importance);
  if (has_several(spec)) return find_several(spec, x);
  if (auto found = fused_parameters(spec, x)) {
    check_held(spec, found->scale, "scale");
    return *found;
  }
  if (spec.non_finite == NonFinite::kRefuse) check_quantizable(x);
  const auto real = x.to(parameter_dtype(x));
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  if (is_norm(spec.scale)) return parameters_of_norm(spec, real, initial_norm_state(spec, real));
  if (!statistic_of(spec.scale)) return from_rule(spec, real, importance);
  const Range range = find_range(spec, real, importance);
  check_held(spec, range.statistic, "range");
  const auto parameters = parameters_of_range(spec, range, shape);
  check_held(spec, parameters.scale, "scale");
  return parameters;
}

at::Tensor quantize_codes(const QuantSpec& spec, const at::Tensor& x,
                          const QuantParameters& parameters) {
  if (is_choice(spec)) return quantize_codes(choice_of(spec), x, parameters);
  if (!has_nan_code(spec.format)) check_quantizable(x);  // no code would say NaN
  if (has_several(spec)) return codes_of_several(spec, x, parameters);
  if (auto codes = fused_codes(spec, x, parameters)) return *codes;
  const auto real = x.detach().to(parameters.scale.scalar_type());
  QuantParameters plain = detached(parameters);
  plain.rounding.is_training = false;
  const auto view = elements_in_view(spec, grouped(real, spec.granularity), plain,
                                     code_span(spec, real, plain.bit_width).bounds);
  return encode(spec.format, ungrouped(view, x.sizes(), spec.granularity)).contiguous();
}

at::Tensor dequantize(const QuantSpec& spec, const at::Tensor& codes,
                      const QuantParameters& parameters) {
  if (is_choice(spec)) return dequantize(choice_of(spec), codes, parameters);
  if (has_several(spec)) return value_of_several(spec, codes, parameters);
  const auto elements = decode(spec.format, codes, parameters.scale.scalar_type());
  const auto view = grouped(elements, spec.granularity);
  return ungrouped(real_values(view, parameters.scale, parameters.zero_point), codes.sizes(),
                   spec.granularity);
}

at::Tensor fake_quantize_composed(const QuantSpec& spec, const at::Tensor& x,
                                  const QuantParameters& parameters) {
  if (is_choice(spec)) return fake_quantize_choice(choice_of(spec), x, parameters);
  if (has_several(spec)) return straight_through_several(spec, x, parameters);
  const auto real = x.to(parameters.scale.scalar_type());
  const auto view = grouped(real, spec.granularity);
  const auto bounds = code_span(spec, real, parameters.bit_width).bounds;
  const auto graded = apply_scale_gradient(
      spec.gradient, {parameters.scale, bounds.q_min, bounds.q_max}, parameters.zero_point,
      view.numel() / std::max<int64_t>(parameters.scale.numel(), 1));
  QuantParameters used = parameters;
  used.scale = graded.scale;
  const auto elements = elements_in_view(spec, view, used, {graded.q_min, graded.q_max});
  const auto value = ungrouped(real_values(elements, graded.scale, parameters.zero_point),
                               x.sizes(), spec.granularity);
  return value.to(x.scalar_type());
}

at::Tensor fake_quantize(const QuantSpec& spec, const at::Tensor& x,
                         const QuantParameters& parameters) {
  if (auto value = fused_fake_quantize(spec, x, parameters)) return *value;
  return fake_quantize_composed(spec, x, parameters);
}

at::Tensor fake_quantize_dynamic(const QuantSpec& spec, const at::Tensor& x) {
  check(spec);
  if (auto value = fused_dynamic(spec, x)) return *value;
  return fake_quantize(spec, x, find_parameters(spec, x));
}

void fake_quantize_dynamic_out(const QuantSpec& spec, const at::Tensor& x,
                               const at::Tensor& value) {
  check(spec);
  TORCH_CHECK_VALUE(value.sizes() == x.sizes() && value.scalar_type() == x.scalar_type() &&
                        value.device() == x.device(),
                    "[quantize] memory of the result: expected ", x.scalar_type(), " of shape ",
                    x.sizes(), " on ", x.device(), ", got ", value.scalar_type(), " of shape ",
                    value.sizes(), " on ", value.device(), ".");
  const at::NoGradGuard no_gradient;
  const bool is_free = value.is_contiguous() && !value.is_alias_of(x);
  if (is_free && fused_quantize_into(spec, x, value)) return;
  value.copy_(fake_quantize_dynamic(spec, x));
}

}  // namespace laconic
