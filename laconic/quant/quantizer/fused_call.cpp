#include "laconic/quant/quantizer/fused_call.h"

#include <ATen/core/grad_mode.h>

#include <functional>
#include <numeric>

#include "laconic/base/variant.h"
#include "laconic/kernel/fused/fused.h"

namespace laconic {
namespace {

using c10::ScalarType;
using kernel::ElementGrid;
using kernel::RangeRule;
using kernel::RangeStatistic;
using kernel::ScaleRestriction;
using kernel::ScaleRuns;
using kernel::ZeroRule;

int64_t product(at::IntArrayRef sizes, int64_t begin) {
  return std::accumulate(sizes.begin() + begin, sizes.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

std::optional<ScaleRuns> runs_of(const Granularity& granularity, at::IntArrayRef sizes) {
  const int64_t count = product(sizes, 0), rank = static_cast<int64_t>(sizes.size());
  const auto rows_of_last = [&](int64_t group) -> std::optional<ScaleRuns> {
    const int64_t rows = count / sizes.back();
    return ScaleRuns{rows, sizes.back(), group, rows};
  };
  return std::visit(
      Overloaded{[&](const PerTensor&) -> std::optional<ScaleRuns> {
                   return ScaleRuns{1, count, count, 1};
                 },
                 [&](const PerChannel& kind) -> std::optional<ScaleRuns> {
                   const int64_t axis = kind.axis < 0 ? kind.axis + rank : kind.axis;
                   const int64_t inner = product(sizes, axis + 1);
                   return ScaleRuns{count / inner, inner, inner, sizes[axis]};
                 },
                 [&](const PerToken&) { return rows_of_last(sizes.back()); },
                 [&](const PerGroup& kind) -> std::optional<ScaleRuns> {
                   if (kind.axis != -1 && kind.axis != rank - 1) return std::nullopt;
                   return rows_of_last(kind.group_size);
                 },
                 [](const CustomGranularity&) -> std::optional<ScaleRuns> { return std::nullopt; }},
      granularity);
}

std::optional<ElementGrid> grid_of(const Format& format) {
  if (!std::holds_alternative<IntFormat>(format)) return std::nullopt;
  const auto [q_min, q_max] = code_range(format);
  return kernel::integer_grid(static_cast<float>(q_min), static_cast<float>(q_max));
}

namespace {

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

}  // namespace

std::optional<RangeRule> range_rule(const QuantSpec& spec) {
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
                   static_cast<float>(threshold_code(threshold, spec.format))};
}

std::optional<ExtremeStatistic> extreme_statistic(const QuantSpec& spec) {
  const auto scale = statistic_of(spec.scale);
  const auto statistic = scale ? statistic_rule(scale->statistic) : std::nullopt;
  if (!statistic) return std::nullopt;
  return ExtremeStatistic{*statistic == RangeStatistic::kAbsMax};
}

bool knows_rounding(const QuantSpec& spec) {
  return std::holds_alternative<HalfEven>(spec.rounding) &&
         (std::holds_alternative<StraightThrough>(spec.gradient) ||
          std::holds_alternative<Clipped>(spec.gradient));
}

bool needs_gradient(const at::Tensor& x) {
  return x.defined() && x.requires_grad() && at::GradMode::is_enabled();
}

at::Tensor readable(const at::Tensor& x) {
  const auto plain = x.detach();
  return (x.scalar_type() == ScalarType::Half ? plain.to(ScalarType::Float) : plain).contiguous();
}

at::Tensor flat(const at::Tensor& numbers) {
  return numbers.defined() ? numbers.detach().reshape({-1}).contiguous() : numbers;
}

std::optional<FusedCall> fused_call(const QuantSpec& spec, const at::Tensor& x) {
  const bool is_known = x.scalar_type() == ScalarType::Float ||
                        x.scalar_type() == ScalarType::BFloat16 ||
                        x.scalar_type() == ScalarType::Half;
  if (!is_known || !kernel::knows_device(x) || x.numel() == 0 || !knows_rounding(spec))
    return std::nullopt;
  const auto grid = grid_of(spec.format);
  const auto statistic = grid ? extreme_statistic(spec) : std::nullopt;
  if (!statistic) return std::nullopt;
  check_granularity(spec.granularity, x.sizes());
  const auto runs = runs_of(spec.granularity, x.sizes());
  if (!runs || runs->group < kShortestRun) return std::nullopt;
  const auto rule = range_rule(spec);
  if (!rule && !x.is_cpu()) return std::nullopt;  // extremes alone are found on the CPU only
  return FusedCall{*runs, *grid, statistic->of_magnitude, rule};
}

}  // namespace laconic
