// Quantizers whose scales are found by the loop that quantizes.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "laconic/base/variant.h"
#include "laconic/kernel/fused/fused.h"
#include "laconic/quant/quantizer/fused.h"

namespace laconic {
namespace {

using c10::ScalarType;
using kernel::ElementGrid;
using kernel::RangeRule;
using kernel::RangeStatistic;
using kernel::ScaleRestriction;
using kernel::ZeroRule;

std::optional<ElementGrid> grid_of(const Format& format) {
  return std::visit(Overloaded{[](const IntFormat& kind) -> std::optional<ElementGrid> {
                      const auto [q_min, q_max] = code_range(kind);
                      return kernel::integer_grid(static_cast<float>(q_min),
                                                  static_cast<float>(q_max));
                    }},
                    format);
}

std::optional<RangeStatistic> statistic_rule(const Statistic& statistic) {
  if (std::holds_alternative<AbsMax>(statistic)) return RangeStatistic::kAbsMax;
  const auto* interval = std::get_if<MinMax>(&statistic);
  if (interval == nullptr) return std::nullopt;
  return interval->include_zero ? RangeStatistic::kMinMax : RangeStatistic::kMinMaxWithoutZero;
}

std::optional<ScaleRestriction> restriction_rule(const Restriction& restriction) {
  if (std::holds_alternative<AnyFloat>(restriction)) return ScaleRestriction::kAny;
  if (const auto* stored = std::get_if<StoredAs>(&restriction))
    return stored->dtype == ScalarType::Half ? ScaleRestriction::kHalf
                                             : ScaleRestriction::kBfloat16;
  const auto* power = std::get_if<PowerOfTwo>(&restriction);
  if (power == nullptr) return std::nullopt;
  switch (power->rounding) {
    case PowerRounding::kNearest:
      return ScaleRestriction::kPowerNearest;
    case PowerRounding::kCeil:
      return ScaleRestriction::kPowerCeil;
    case PowerRounding::kFloor:
      return ScaleRestriction::kPowerFloor;
  }
  return std::nullopt;
}

std::optional<ZeroRule> zero_rule(const ZeroPoint& zero_point) {
  if (std::holds_alternative<NoZeroPoint>(zero_point)) return ZeroRule::kNone;
  if (std::holds_alternative<IntegerZeroPoint>(zero_point)) return ZeroRule::kInteger;
  if (std::holds_alternative<FloatZeroPoint>(zero_point)) return ZeroRule::kFloat;
  return std::nullopt;
}

std::optional<RangeRule> rule_of(const QuantSpec& spec) {
  const auto scale = statistic_of(spec.scale);
  if (!scale) return std::nullopt;
  const auto statistic = statistic_rule(scale->statistic);
  const auto restriction = restriction_rule(scale->restriction);
  const auto zero_point = zero_rule(spec.zero_point);
  constexpr double kSmallestNormal = 0x1p-126;  // powers are read off the bits
  if (!statistic || !restriction || !zero_point || scale->minimum < kSmallestNormal)
    return std::nullopt;
  const Threshold threshold =
      *zero_point == ZeroRule::kNone ? scale->threshold : Threshold::kCodeCount;
  return RangeRule{*statistic, *restriction, *zero_point, static_cast<float>(scale->minimum),
                   static_cast<float>(threshold_code(threshold, std::get<IntFormat>(spec.format)))};
}

/// A call that the kernels can answer.
struct Call {
  kernel::ScaleRuns runs;
  ElementGrid grid;
  RangeRule rule;
};

std::optional<Call> call_of(const QuantSpec& spec, const at::Tensor& x) {
  constexpr int64_t kShortestRun = 16;
  const bool needs_gradient = x.requires_grad() && at::GradMode::is_enabled();
  const bool is_known = x.scalar_type() == ScalarType::Float ||
                        x.scalar_type() == ScalarType::BFloat16 ||
                        x.scalar_type() == ScalarType::Half;
  if (needs_gradient || !is_known || !x.is_cpu() || x.numel() == 0) return std::nullopt;
  if (!std::holds_alternative<HalfEven>(spec.rounding) ||
      std::holds_alternative<CustomGradient>(spec.gradient))
    return std::nullopt;
  const auto grid = grid_of(spec.format);
  const auto rule = grid ? rule_of(spec) : std::nullopt;
  if (!rule) return std::nullopt;
  check_granularity(spec.granularity, x.sizes());
  const auto runs = runs_of(spec.granularity, x.sizes());
  if (!runs || runs->group < kShortestRun) return std::nullopt;
  return Call{*runs, *grid, *rule};
}

QuantParameters empty_numbers(const Call& call, const at::Tensor& x) {
  const auto options = x.options().dtype(ScalarType::Float);
  QuantParameters numbers{at::empty({call.runs.scales()}, options), {}};
  if (call.rule.zero_point != ZeroRule::kNone)
    numbers.zero_point = at::empty({call.runs.scales()}, options);
  return numbers;
}

QuantParameters shaped(const QuantParameters& flat, const QuantSpec& spec, at::IntArrayRef sizes) {
  const auto shape = scale_shape(sizes, spec.granularity);
  return {flat.scale.reshape(shape),
          flat.zero_point.defined() ? flat.zero_point.reshape(shape) : flat.zero_point};
}

/// float32 or bfloat16, contiguous.
at::Tensor readable(const at::Tensor& x) {
  const auto plain = x.detach();
  return (x.scalar_type() == ScalarType::Half ? plain.to(ScalarType::Float) : plain).contiguous();
}

}  // namespace

bool fused_quantize_into(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& value) {
  const auto call = call_of(spec, x);
  if (!call) return false;
  const at::Tensor real = readable(x);
  const bool is_same = real.scalar_type() == value.scalar_type();
  const at::Tensor found = is_same ? value : at::empty(x.sizes(), real.options());
  if (!kernel::quantize_found(real, call->runs, call->grid, call->rule, found, {})) return false;
  if (!is_same) value.copy_(found);
  return true;
}

std::optional<at::Tensor> fused_dynamic(const QuantSpec& spec, const at::Tensor& x) {
  const auto call = call_of(spec, x);
  if (!call) return std::nullopt;
  const at::Tensor real = readable(x), value = at::empty(x.sizes(), real.options());
  if (!kernel::quantize_found(real, call->runs, call->grid, call->rule, value, {}))
    return std::nullopt;
  return value.to(x.scalar_type());
}

std::optional<FusedResult> fused_quantize(const QuantSpec& spec, const at::Tensor& x) {
  const auto call = call_of(spec, x);
  if (!call) return std::nullopt;
  const at::Tensor real = readable(x), value = at::empty(x.sizes(), real.options());
  const QuantParameters numbers = empty_numbers(*call, x);
  if (!kernel::quantize_found(real, call->runs, call->grid, call->rule, value,
                              {numbers.scale, numbers.zero_point}))
    return std::nullopt;
  return FusedResult{value.to(x.scalar_type()), shaped(numbers, spec, x.sizes())};
}

std::optional<QuantParameters> fused_parameters(const QuantSpec& spec, const at::Tensor& x) {
  const auto call = call_of(spec, x);
  if (!call) return std::nullopt;
  const QuantParameters numbers = empty_numbers(*call, x);
  if (!kernel::quantize_found(readable(x), call->runs, call->grid, call->rule, {},
                              {numbers.scale, numbers.zero_point}))
    return std::nullopt;
  return shaped(numbers, spec, x.sizes());
}

}  // namespace laconic
