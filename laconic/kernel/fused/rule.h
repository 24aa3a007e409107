#pragma once

// What a fused quantizer does, as plain numbers: read by the loops of the CPU and of CUDA alike, so
// that this header includes std only.

#include <cstdint>

namespace laconic::kernel {

enum class GridKind { kInteger, kMinifloat, kTable };

/// The elements that there are, in units of the scale; a real number becomes the nearest, half to
/// even (in a table: the smaller one).
struct ElementGrid {
  static constexpr int kMostValues = 16;
  GridKind kind = GridKind::kInteger;
  float low = 0, high = 0;  ///< smallest and largest element; what is beyond becomes these
  // Minifloat: numbers from `lowest_power` on are relative_step times their power of two apart,
  // smaller ones as those of `lowest_power`.
  float lowest_power = 0, relative_step = 0;
  // Table: ascending.
  int count = 0;
  float values[kMostValues] = {};
  float borders[kMostValues] = {};  ///< borders[i]: above it the element is values[i + 1] or more
};

/// Integers from `low` to `high`.
constexpr ElementGrid integer_grid(float low, float high) {
  return {GridKind::kInteger, low, high, 0, 0, 0, {}, {}};
}

enum class RangeStatistic { kAbsMax, kMinMax, kMinMaxWithoutZero };
enum class ScaleRestriction { kAny, kPowerFloor, kPowerCeil, kPowerNearest, kHalf, kBfloat16 };
enum class ZeroRule { kNone, kInteger, kFloat };

/// scale = restrict(max(statistic, minimum)) / threshold; powers of two are taken before the
/// division, numbers of half precision after it.
struct RangeRule {
  RangeStatistic statistic = RangeStatistic::kAbsMax;
  ScaleRestriction restriction = ScaleRestriction::kAny;
  ZeroRule zero_point = ZeroRule::kNone;  ///< -min(x, 0) / scale + low
  float minimum = 0, threshold = 1;
};

}  // namespace laconic::kernel
