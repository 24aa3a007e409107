#pragma once

// What a fused quantizer does, as plain numbers: read by the loops of the CPU and of CUDA alike, so
// that this header includes std only.

#include <cstdint>

namespace laconic::kernel {

/// A contiguous tensor as rows of runs that share a scale: run j of row r has the scale
/// (r % period) * groups() + j. The last run of a row may be shorter than the others.
struct ScaleRuns {
  int64_t rows = 0, length = 0;  ///< the tensor has rows * length elements
  int64_t group = 0;             ///< elements of a run, 1 to length
  int64_t period = 0;            ///< rows that have scales of their own
  constexpr int64_t groups() const { return (length + group - 1) / group; }
  constexpr int64_t scales() const { return period * groups(); }
  constexpr int64_t runs() const { return rows * groups(); }
  // Long runs are cut into pieces, always the same ones.
  static constexpr int64_t kPiece = 16384;
  constexpr int64_t pieces_of_run() const { return (group + kPiece - 1) / kPiece; }
  constexpr int64_t pieces() const { return runs() * pieces_of_run(); }
};

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

/// Scale and zero point of each run, [scales] float32.
struct RunNumbers {
  float* scale = nullptr;
  float* zero_point = nullptr;  ///< nullptr: none
};

enum class ElementType { kFloat, kBfloat16 };

/// One call: x -> value, both of `type`.
struct FusedJob {
  const void* x = nullptr;
  void* value = nullptr;  ///< nullptr: only numbers are found
  ElementType type = ElementType::kFloat;
  bool streams = false;  ///< the value is not to stay in the cache
  ScaleRuns runs;
  ElementGrid grid;
  RangeRule rule;
  RunNumbers numbers;
};

/// Smallest and largest element, and the largest magnitude, as integers that are ordered as floats
/// are (`ordered_key`, and the bits of |x|): NaN lies beyond infinity, so nothing is lost.
struct RangeKeys {
  int32_t low = INT32_MAX, high = INT32_MIN, magnitude = 0;
  constexpr void add(const RangeKeys& other) {
    low = other.low < low ? other.low : low;
    high = other.high > high ? other.high : high;
    magnitude = other.magnitude > magnitude ? other.magnitude : magnitude;
  }
  /// A short run counts as filled with zeros.
  constexpr void add_zero() { add({0, 0, 0}); }
};

}  // namespace laconic::kernel
