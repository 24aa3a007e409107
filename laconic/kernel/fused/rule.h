#pragma once

// What a fused quantizer does, as plain numbers: read by the loops of the CPU and of CUDA alike, so
// that this header includes std only.

#include <cstdint>

namespace laconic::kernel {

enum class GridKind { kInteger, kMinifloat };

/// The elements that there are, in units of the scale; a real number becomes the nearest, half to
/// even.
struct ElementGrid {
  GridKind kind = GridKind::kInteger;
  float low = 0, high = 0;  ///< smallest and largest element; what is beyond becomes these
  // Minifloat: numbers from `lowest_power` on are relative_step times their power of two apart,
  // smaller ones as those of `lowest_power`, whose step is a normal number; `high` is below 2^100.
  float lowest_power = 0, relative_step = 0;
  bool has_negative_zero = true;  ///< else small negative numbers become +0
};

/// Integers from `low` to `high`.
constexpr ElementGrid integer_grid(float low, float high) {
  return {GridKind::kInteger, low, high, 0, 0, true};
}

enum class RangeStatistic { kAbsMax, kMinMax, kMinMaxWithoutZero };
enum class ScaleRestriction {
  kAny,
  // Of the range, before the division by the threshold. Nearest: of the logarithm.
  kPowerFloor,
  kPowerCeil,
  kPowerNearest,
  // Of the scale, after it. E8m0: powers of two up to 2^127, the nearest of the number.
  kE8m0Floor,
  kE8m0Ceil,
  kE8m0Nearest,
  kHalf,
  kBfloat16,
};
enum class ZeroRule { kNone, kInteger, kFloat };

/// scale = restrict(max(statistic, minimum)) / threshold, or restricted after the division.
struct RangeRule {
  RangeStatistic statistic = RangeStatistic::kAbsMax;
  ScaleRestriction restriction = ScaleRestriction::kAny;
  ZeroRule zero_point = ZeroRule::kNone;  ///< -min(x, 0) / scale + low
  float minimum = 0, threshold = 1;
};

/// Slope of a scale to the largest magnitude that it was found of. A scale that is a power of two
/// follows its logarithm.
constexpr float slope_of_scale(const RangeRule& rule, float scale, float largest) {
  switch (rule.restriction) {
    case ScaleRestriction::kAny:
    case ScaleRestriction::kHalf:
    case ScaleRestriction::kBfloat16:
      return 1 / rule.threshold;
    case ScaleRestriction::kPowerFloor:
    case ScaleRestriction::kPowerCeil:
    case ScaleRestriction::kPowerNearest:
    case ScaleRestriction::kE8m0Floor:
    case ScaleRestriction::kE8m0Ceil:
    case ScaleRestriction::kE8m0Nearest:
      return scale / (largest < rule.minimum ? rule.minimum : largest);
  }
  return 0;
}

}  // namespace laconic::kernel
