// Which bfloat16 numbers are quantized by narrow-inl.h, and what it needs of their scales. Included
// once for each instruction set (see Highway's foreach_target.h), so the guard below is a toggle
// and not #pragma once.
#if defined(LACONIC_STAIRS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_STAIRS_INL_H
#undef LACONIC_STAIRS_INL_H
#else
#define LACONIC_STAIRS_INL_H
#endif

#include "laconic/kernel/fused/narrow-inl.h"

#if LACONIC_HAS_NARROW
HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

HWY_INLINE bool is_symmetric(const ElementGrid& grid) {
  return grid.low == -grid.high && grid.has_negative_zero;
}

/// 0, 1/2, 1, 3/2, 2, 3, 4, 6 and their negatives, times `lowest_power`.
HWY_INLINE bool is_e2m1(const ElementGrid& grid) {
  return is_symmetric(grid) && grid.relative_step == 0.5F && grid.high == 6 * grid.lowest_power;
}

/// So many powers of two that few numbers are below the normal ones.
HWY_INLINE bool is_wide(const ElementGrid& grid) {
  return is_symmetric(grid) && grid.high >= 0x1p12F * grid.lowest_power;
}

/// Largest bfloat16, in the upper half, whose quotient by `scale` rounds to `factor` (1 <= factor <
/// 2, few digits) at most, or with kBelow to less. The quotient rounds to it in half a last place
/// to both sides; the difference to that is exact where its sign is in doubt.
template <bool kBelow>
HWY_INLINE hn::Vec<Keys> largest_half(hn::Vec<Wide> scale, float factor) {
  const Wide d;
  const Keys whole;
  const auto upper = hn::Set(whole, int32_t(0xFFFF0000)), few = hn::Set(whole, 4);
  const auto by = hn::Set(d, factor), half_place = hn::Mul(scale, hn::Set(d, 0x1p-24F));
  const auto near = hn::And(hn::Add(hn::BitCast(whole, hn::Mul(scale, by)), few), upper);
  const auto left = hn::MulSub(scale, by, hn::BitCast(d, near));
  const auto is_beyond = kBelow ? hn::Le(left, half_place) : hn::Lt(left, hn::Neg(half_place));
  return hn::Add(near, hn::And(hn::VecFromMask(whole, hn::RebindMask(whole, is_beyond)), upper));
}

/// The nearest bfloat16, in the upper half.
HWY_INLINE hn::Vec<Keys> nearest_half(hn::Vec<Wide> x) {
  const Keys whole;
  const auto bits = hn::BitCast(whole, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(whole, 1));
  return hn::And(hn::Add(bits, hn::Add(odd, hn::Set(whole, 0x7FFF))),
                 hn::Set(whole, int32_t(0xFFFF0000)));
}

/// Stairs of e2m1 for a vector of scales, 8 words of each one after the other. Magnitudes: those of
/// 1 and 3/2 and their doubles; thresholds: those of 1, 5/4, 3/2, 7/4. A tie goes to the even one.
HWY_INLINE void store_e2m1_stairs(hn::Vec<Wide> scale, int16_t* thresholds, int16_t* values) {
  const Keys d;
  const auto pair = [](hn::Vec<Keys> low, hn::Vec<Keys> high)
                        HWY_ATTR { return hn::Or(hn::ShiftRight<16>(low), high); };
  const auto octaves = [&](hn::Vec<Keys> words, int low, int high) HWY_ATTR {
    return hn::Add(words, hn::Set(d, (high * 65536 + low) * 128));
  };
  const auto at_4 = largest_half<false>(scale, 1.0F), at_5 = largest_half<false>(scale, 1.25F);
  const auto at_6 = largest_half<true>(scale, 1.5F), at_7 = largest_half<true>(scale, 1.75F);
  const auto turns = pair(at_7, at_5);
  hn::StoreInterleaved4(octaves(at_4, 0, -2), hn::Sub(pair(at_6, at_5), hn::Set(d, 128)),
                        octaves(turns, 0, 1), octaves(turns, 1, 2), d,
                        reinterpret_cast<int32_t*>(thresholds));
  const auto one = nearest_half(scale);
  const auto both = pair(one, nearest_half(hn::Mul(scale, hn::Set(Wide(), 1.5F))));
  hn::StoreInterleaved4(octaves(one, 0, -1), both, octaves(both, 1, 1), octaves(both, 2, 2), d,
                        reinterpret_cast<int32_t*>(values));
}

/// What a power of two adds to the words of numbers that it multiplies.
HWY_INLINE Words16 power_words(float power) {
  return hn::Set(Narrow(), static_cast<int16_t>(upper_half(power) - 0x3F80));
}

/// Scales that are powers of two: the stairs of 1, moved.
HWY_INLINE void quantize_e2m1_by_powers(const Run<uint16_t>& first, int64_t runs,
                                        const float* scales, float unit) {
  HWY_ALIGN static constexpr int16_t kThresholds[8] = {0,      0x3E80, 0x3F3F, 0x3FA0,
                                                       0x3FDF, 0x4020, 0x405F, 0x40A0};
  HWY_ALIGN static constexpr int16_t kValues[8] = {-0x4000, 0x3F00, 0x3F80, 0x3FC0,
                                                   0x4000,  0x4040, 0x4080, 0x40C0};
  const Stairs of_one = load_stairs(kThresholds, kValues);
  quantize_on_stairs(first, runs, [&](int64_t i) HWY_ATTR {
    const auto by = power_words(scales[i] * unit);
    return Stairs{hn::Add(of_one.thresholds, by),
                  hn::Max(hn::Add(of_one.values, by), hn::Zero(Narrow()))};
  });
}

/// Any scales, read in whole vectors.
HWY_INLINE void quantize_e2m1(Run<uint16_t> first, int64_t runs, const float* scales, float unit) {
  const Wide d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN int16_t thresholds[8 * hn::MaxLanes(d)], values[8 * hn::MaxLanes(d)];
  for (int64_t run = 0; run < runs; run += lanes) {
    const auto scale = hn::Mul(hn::Load(d, scales + run), hn::Set(d, unit));
    store_e2m1_stairs(scale, thresholds, values);
    const int64_t some = std::min(lanes, runs - run);
    quantize_on_stairs(first, some, [&](int64_t i) HWY_ATTR {
      return load_stairs(thresholds + 8 * i, values + 8 * i);
    });
    first.x += some * first.count, first.y += some * first.count;
  }
}

/// Under the scale 1.
HWY_INLINE DigitRounding digit_rounding(const ElementGrid& grid) {
  const Narrow d;
  const int last = 7 - (127 - (float_bits(grid.relative_step) >> 23));
  return {hn::Set(d, upper_half(grid.lowest_power)), hn::Set(d, upper_half(grid.high)),
          hn::Set(d, static_cast<int16_t>((1 << (last - 1)) - 1)),
          hn::Set(d, static_cast<int16_t>(-(1 << last))), last};
}
/// Under another power of two.
HWY_INLINE DigitRounding moved(DigitRounding of_one, float scale) {
  const auto by = power_words(scale);
  of_one.least = hn::Add(of_one.least, by), of_one.most = hn::Add(of_one.most, by);
  return of_one;
}

/// Of what `plain` makes of the numbers in two octaves of normal elements, each of up to 8.
template <class Plain>
HWY_INLINE OctaveStairs octave_stairs(float scale, const ElementGrid& grid, const Plain& plain) {
  constexpr int kOctave = 128, kAll = 2 * kOctave + 16;
  uint16_t numbers[kAll], values[kAll];
  const int begin = upper_half(2 * scale * grid.lowest_power);
  for (int i = 0; i < 2 * kOctave; ++i) numbers[i] = static_cast<uint16_t>(begin + i);
  std::fill(numbers + 2 * kOctave, numbers + kAll, upper_half(2 * scale * grid.high));
  plain(numbers, values, kAll);
  int first = 1;
  while (values[first] == values[first - 1]) ++first;
  HWY_ALIGN int16_t thresholds[8], stairs[8];
  std::fill_n(thresholds, 8, int16_t{kOctave});
  std::fill_n(stairs, 8, static_cast<int16_t>(values[first]));
  for (int i = 1, stair = 0; i < kOctave; ++i) {
    if (values[first + i] == values[first + i - 1]) continue;
    thresholds[++stair] = static_cast<int16_t>(i - 1);
    stairs[stair] = static_cast<int16_t>(values[first + i]);
  }
  const Narrow d;
  return {hn::Set(d, static_cast<int16_t>(upper_half(scale * grid.lowest_power) + 1)),
          hn::Set(d, static_cast<int16_t>(values[kAll - 1])),
          hn::Set(d, static_cast<int16_t>(begin + first)), load_stairs(thresholds, stairs)};
}

/// How the runs of a job are quantized on their bits.
enum class NarrowWay { kNone, kE2m1, kDigits, kOctaves };

/// @param longest   elements of a run
/// @param is_whole  all runs have as many, in whole vectors
HWY_INLINE NarrowWay narrow_way(const FusedJob& job, DivideBy by, int64_t longest, bool is_whole) {
  constexpr int64_t kLong = 4096;  // of fewer elements finding the stairs takes too long
  const ElementGrid& grid = job.grid;
  if (by == DivideBy::kDivision) return NarrowWay::kNone;
  if (is_e2m1(grid)) return is_whole ? NarrowWay::kE2m1 : NarrowWay::kNone;
  if (!is_wide(grid)) return NarrowWay::kNone;
  // Without digits a tie goes up, whether or not the exponent is even.
  const bool has_digits = grid.relative_step <= 0x1p-1F && grid.relative_step >= 0x1p-6F;
  if (by == DivideBy::kPower && has_digits) return NarrowWay::kDigits;
  return longest >= kLong && grid.relative_step >= 0x1p-3F ? NarrowWay::kOctaves : NarrowWay::kNone;
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif  // LACONIC_STAIRS_INL_H
