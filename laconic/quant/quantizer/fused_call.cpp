#include "laconic/quant/quantizer/fused_call.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "laconic/base/variant.h"
#include "laconic/kernel/fused/fused.h"
#include "laconic/quant/quantizer/range.h"

namespace laconic {
namespace {

using c10::ScalarType;
using kernel::ElementGrid;
using kernel::GridKind;
using kernel::RangeRule;
using kernel::RangeStatistic;
using kernel::ScaleRestriction;
using kernel::ScaleRuns;
using kernel::ZeroRule;

int64_t product(at::IntArrayRef sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

/// A tensor around one of its axes.
struct Around {
  int64_t outer, length, inner;
};
Around around(at::IntArrayRef sizes, int64_t axis) {
  const auto at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(sizes.size()) : axis);
  return {product(sizes.slice(0, at)), sizes[at], product(sizes.slice(at + 1))};
}

ScaleRuns rows_of(int64_t rows, int64_t length, int64_t group) {
  return {rows, length, group, rows};
}

/// Bands of `band` rows; nothing where some of several matrices would begin within one.
std::optional<ScaleRuns> bands_of(const Around& x, int64_t group, int64_t band) {
  if (x.outer > 1 && x.length % band != 0) return std::nullopt;
  const int64_t rows = x.outer * x.length;
  return ScaleRuns{rows, x.inner, group, (rows + band - 1) / band, band};
}

/// Numbers for each of `parts` parts of the axis, over all the rest.
ScaleRuns parts_of_axis(const Around& x, int64_t parts) {
  const int64_t run = x.length / parts * x.inner;
  if (x.outer > 1 && run <= kernel::kLongestBandRun)
    return {x.outer, x.length * x.inner, run, 1, x.outer};
  return {x.outer * parts, run, run, parts};
}

/// Groups of `size` along an axis, for each index of all the others.
std::optional<ScaleRuns> groups_of_axis(const Around& x, int64_t size) {
  if (x.inner == 1) return rows_of(x.outer, x.length, size);
  return bands_of(x, 1, size);
}

std::optional<ScaleRuns> layout_of(const Granularity& granularity, at::IntArrayRef sizes) {
  return std::visit(
      Overloaded{[&](const PerTensor&) -> std::optional<ScaleRuns> {
                   return rows_of(1, product(sizes), product(sizes));
                 },
                 [&](const PerChannel& kind) -> std::optional<ScaleRuns> {
                   const Around x = around(sizes, kind.axis);
                   return parts_of_axis(x, x.length);
                 },
                 [&](const PerToken&) -> std::optional<ScaleRuns> {
                   return rows_of(product(sizes) / sizes.back(), sizes.back(), sizes.back());
                 },
                 [&](const PerGroup& kind) {
                   return groups_of_axis(around(sizes, kind.axis), kind.group_size);
                 },
                 [&](const PerHead& kind) -> std::optional<ScaleRuns> {
                   const Around x = around(sizes, kind.axis);
                   if (!kind.per_token) return parts_of_axis(x, kind.heads);
                   return groups_of_axis(x, x.length / kind.heads);
                 },
                 [&](const PerBlock& kind) {
                   Around x = around(sizes, -2);
                   return bands_of(x, kind.columns, kind.rows);
                 },
                 [](const CustomGranularity&) -> std::optional<ScaleRuns> { return std::nullopt; }},
      granularity);
}

}  // namespace

std::optional<ScaleRuns> runs_of(const Granularity& granularity, at::IntArrayRef sizes) {
  const auto runs = layout_of(granularity, sizes);
  if (!runs) return std::nullopt;
  if (!runs->in_bands()) return runs->group < kShortestRun ? std::nullopt : runs;
  const bool is_large = runs->band * runs->length >= kSmallestBand;
  return is_large && runs->group <= kernel::kLongestBandRun ? runs : std::nullopt;
}

namespace {

/// Steps and numbers that are far from the ends of float32: the quotients too that round to them.
std::optional<ElementGrid> minifloat_grid(const MinifloatFormat& format) {
  const auto found = limits(format);
  const auto least_step = static_cast<int>(found.lowest_exponent - format.mantissa_bits);
  if (!format.saturating || least_step < -30 || found.largest >= 0x1p30) return std::nullopt;
  ElementGrid grid{.kind = GridKind::kMinifloat};
  const auto [low, high] = element_range(format);
  grid.low = static_cast<float>(low);
  grid.high = static_cast<float>(high);
  grid.lowest_power = std::ldexp(1.0F, static_cast<int>(found.lowest_exponent));
  grid.relative_step = std::ldexp(1.0F, static_cast<int>(-format.mantissa_bits));
  grid.has_negative_zero = format.is_signed && format.specials != FloatSpecials::kNegativeZero;
  return grid;
}

}  // namespace

std::optional<ElementGrid> grid_of(const Format& format) {
  if (const auto* minifloat = std::get_if<MinifloatFormat>(&format))
    return minifloat_grid(*minifloat);
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

/// Scales that are powers of two: an e8m0 quantizer without a scale of its own.
std::optional<ScaleRestriction> power_rule(const QuantSpec& quantizer) {
  const auto* unit = std::get_if<ConstantScale>(&quantizer.scale);
  if (unit == nullptr || unit->value != 1 || quantizer.format != Format(e8m0()) ||
      !std::holds_alternative<NoZeroPoint>(quantizer.zero_point))
    return std::nullopt;
  if (std::holds_alternative<Floor>(quantizer.rounding)) return ScaleRestriction::kE8m0Floor;
  if (std::holds_alternative<Ceil>(quantizer.rounding)) return ScaleRestriction::kE8m0Ceil;
  if (std::holds_alternative<HalfEven>(quantizer.rounding)) return ScaleRestriction::kE8m0Nearest;
  return std::nullopt;
}

std::optional<ScaleRestriction> restriction_rule(const Restriction& restriction) {
  if (std::holds_alternative<AnyFloat>(restriction)) return ScaleRestriction::kAny;
  if (const auto* stored = std::get_if<StoredAs>(&restriction))
    return stored->dtype == ScalarType::Half ? ScaleRestriction::kHalf
                                             : ScaleRestriction::kBfloat16;
  if (const auto* scales = std::get_if<QuantizedBy>(&restriction))
    return power_rule(*scales->quantizer);
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

/// How extremes become scale and zero point, where the loop that finds them can do it.
std::optional<RangeRule> range_rule(const QuantSpec& spec,
                                    std::optional<ScaleRestriction> restriction) {
  const auto scale = statistic_of(spec.scale);
  if (!scale) return std::nullopt;
  const auto statistic = statistic_rule(scale->statistic);
  const auto zero_point = zero_rule(spec.zero_point);
  if (!statistic || !restriction || !zero_point) return std::nullopt;
  const double threshold = threshold_code(spanned_threshold(spec), spec.format);
  constexpr double kSmallestNormal = 0x1p-126;  // powers are read off the bits
  if (scale->minimum < kSmallestNormal || scale->minimum / threshold < kSmallestNormal ||
      scale->affine != Affine::kNone)
    return std::nullopt;
  return RangeRule{*statistic, *restriction, *zero_point, static_cast<float>(scale->minimum),
                   static_cast<float>(threshold)};
}

/// Puts the rule into a call that has none yet.
void add_rule(FusedCall& call, const QuantSpec& spec) {
  const auto scale = statistic_of(spec.scale);
  if (!scale) return;
  call.rule = range_rule(spec, restriction_rule(scale->restriction));
  if (call.rule || !std::holds_alternative<QuantizedBy>(scale->restriction) ||
      !std::holds_alternative<NoZeroPoint>(spec.zero_point))
    return;
  call.rule = range_rule(spec, ScaleRestriction::kAny);
  call.quantizes_scales = call.rule.has_value();
}

}  // namespace

std::optional<ExtremeStatistic> extreme_statistic(const QuantSpec& spec) {
  const auto scale = statistic_of(spec.scale);
  const auto statistic = scale ? statistic_rule(scale->statistic) : std::nullopt;
  const Minimum& start = spec.range_start.minimum;
  const bool starts_at_smallest =
      std::holds_alternative<OfStatistic>(start) || std::holds_alternative<Smallest>(start);
  if (!statistic || !starts_at_smallest) return std::nullopt;
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
  if (!runs) return std::nullopt;
  FusedCall call{*runs, *grid, statistic->of_magnitude, {}};
  add_rule(call, spec);
  return call;
}

}  // namespace laconic
