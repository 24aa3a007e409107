// Minifloats of bfloat16 numbers without arithmetic on floats: on their bits, 16 at a time. Equal
// to element_math-inl.h bit for bit, for scales that kShort divides by. Included once for each
// instruction set (see Highway's foreach_target.h), so the guard below is a toggle and not #pragma
// once.
#if defined(LACONIC_NARROW_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_NARROW_INL_H
#undef LACONIC_NARROW_INL_H
#else
#define LACONIC_NARROW_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "laconic/kernel/fused/batch-inl.h"

// Where scales have quick quotients, and tables are looked up by an instruction.
#undef LACONIC_HAS_NARROW
#define LACONIC_HAS_NARROW (HWY_NATIVE_FMA && HWY_TARGET != HWY_SCALAR)

#if LACONIC_HAS_NARROW
HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Two halves of 8 words at most: a table lies in each.
using Narrow = hn::CappedTag<int16_t, 16>;
using Words16 = hn::Vec<Narrow>;

/// The upper half of a float's bits: of a positive one the largest bfloat16 up to it.
HWY_INLINE int16_t upper_half(float x) { return static_cast<int16_t>(float_bits(x) >> 16); }

/// Up to 8 values for ranges of magnitudes: value k is for those more than thresholds[k]. There is
/// no thresholds[0].
struct Stairs {
  Words16 thresholds, values;
};
HWY_INLINE Stairs load_stairs(const int16_t* thresholds, const int16_t* values) {
  return {hn::LoadDup128(Narrow(), thresholds), hn::LoadDup128(Narrow(), values)};
}

/// Value of each magnitude: three comparisons find its place.
HWY_INLINE Words16 climbed(Words16 magnitude, const Stairs& stairs) {
  const Narrow d;
  constexpr int16_t kStep = 0x0202, kFirst = 0x0100;  // a place is the numbers of its two bytes
  const auto place = [&](int steps)
                         HWY_ATTR { return hn::Set(d, int16_t(kFirst + steps * kStep)); };
  const auto beyond = [&](Words16 at, int steps) HWY_ATTR {
    const auto is_beyond = hn::Gt(magnitude, hn::TableLookupBytes(stairs.thresholds, at));
    return hn::IfThenElseZero(is_beyond, hn::Set(d, int16_t(steps * kStep)));
  };
  const auto step = hn::Set(d, kStep);
  auto at = hn::Add(place(2), beyond(place(4), 4));
  at = hn::Add(hn::Sub(at, step), beyond(at, 2));
  at = hn::Add(hn::Sub(at, step), beyond(at, 1));
  return hn::TableLookupBytes(stairs.values, at);
}

struct SignAside {
  Words16 sign, magnitude;
};
HWY_INLINE SignAside sign_aside(Words16 x) {
  const auto sign = hn::And(x, hn::Set(Narrow(), INT16_MIN));
  return {sign, hn::Xor(x, sign)};
}

/// Whether whole vectors of `y` may go past the cache.
HWY_INLINE bool streams_words(const Run<uint16_t>& run) {
  return run.streams && reinterpret_cast<uintptr_t>(run.y) % (2 * hn::Lanes(Narrow())) == 0;
}
HWY_INLINE void store_words(Words16 x, uint16_t* to, bool streams) {
  const Narrow d;
  auto* words = reinterpret_cast<int16_t*>(to);
  streams ? hn::Stream(x, d, words) : hn::StoreU(x, d, words);
}
HWY_INLINE Words16 load_words(const uint16_t* from) {
  return hn::LoadU(Narrow(), reinterpret_cast<const int16_t*>(from));
}

/// Runs that are as long as `first`, in whole vectors, each on its own stairs.
template <class StairsOf>
HWY_INLINE void quantize_on_stairs(Run<uint16_t> first, int64_t runs, const StairsOf& stairs_of) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Narrow()));
  const bool streams = streams_words(first);
  const auto next = [&](const Stairs& stairs) HWY_ATTR {
    const auto [sign, magnitude] = sign_aside(load_words(first.x));
    store_words(hn::Or(climbed(magnitude, stairs), sign), first.y, streams);
    first.x += lanes, first.y += lanes;
  };
  int64_t run = 0;
  if (first.count == lanes) {  // several at a time: for more than one the constants stay
    for (; run + 4 <= runs; run += 4) {
      for (int i = 0; i < 4; i += 2) hwy::Prefetch(first.x + first.ahead + i * lanes);
      for (int i = 0; i < 4; ++i) next(stairs_of(run + i));
    }
  }
  for (; run < runs; ++run) {
    const Stairs stairs = stairs_of(run);
    for (int64_t i = 0; i < first.count; i += lanes) {
      if (i % (2 * lanes) == 0) hwy::Prefetch(first.x + first.ahead);
      next(stairs);
    }
  }
}

/// Of each vector of a block; where a magnitude but 0 is less than `least` of the rule, `plain`
/// quantizes the block: x, y, how many elements.
template <int kVectors, class Rule, class Plain>
HWY_INLINE void quantize_block(const uint16_t* x, uint16_t* y, bool streams, const Rule& rule,
                               const Plain& plain) {
  const Narrow d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto turned = hn::Set(d, INT16_MAX);  // added, it makes 0 the largest
  Words16 values[kVectors];
  auto smallest = turned;
  for (int i = 0; i < kVectors; ++i) {
    const auto [sign, magnitude] = sign_aside(load_words(x + i * lanes));
    smallest = hn::Min(smallest, hn::Add(magnitude, turned));
    values[i] = hn::Or(rule.value(magnitude), sign);
  }
  if (!hn::AllFalse(d, hn::Lt(smallest, hn::Add(rule.least, turned))))
    return plain(x, y, kVectors * lanes);
  for (int i = 0; i < kVectors; ++i) store_words(values[i], y + i * lanes, streams);
}

/// The whole vectors of a run. @returns of how many elements.
template <class Rule, class Plain>
HWY_INLINE int64_t quantize_normal(const Run<uint16_t>& run, const Rule& rule, const Plain& plain) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Narrow()));
  const bool streams = streams_words(run);
  int64_t i = 0;
  const auto block = [&]<int kVectors>() HWY_ATTR {
    for (int k = 0; run.ahead > 0 && k < kVectors; k += 2)
      hwy::Prefetch(run.x + i + run.ahead + k * lanes);
    quantize_block<kVectors>(run.x + i, run.y + i, streams, rule, plain);
    i += kVectors * lanes;
  };
  while (run.count - i >= 4 * lanes) block.template operator()<4>();
  if (run.count - i >= 2 * lanes) block.template operator()<2>();
  if (run.count - i >= lanes) block.template operator()<1>();
  return i;
}

/// Under a power of two: the digits that are too many are rounded away.
struct DigitRounding {
  Words16 least, most;           ///< smallest and largest normal element, as bfloat16
  Words16 less_than_half, kept;  ///< in the last place of an element; digits that it has
  int last;                      ///< bit of that place
  HWY_INLINE Words16 value(Words16 magnitude) const {
    const auto x = hn::Min(magnitude, most);
    const auto odd = hn::And(hn::ShiftRightSame(x, last), hn::Set(Narrow(), 1));
    return hn::And(hn::Add(x, hn::Add(odd, less_than_half)), kept);
  }
};

/// Under any scale: the same stairs in each range of `first` times a power of two to the next.
struct OctaveStairs {
  Words16 least, most;  ///< from here on elements are normal; the value of the largest
  Words16 first;
  Stairs stairs;  ///< thresholds are distances from `first`
  HWY_INLINE Words16 value(Words16 magnitude) const {
    const Narrow d;
    const auto distance = hn::Sub(magnitude, first), inside = hn::Set(d, 0x7F);
    const auto value = climbed(hn::And(distance, inside), stairs);
    const auto found = hn::Min(hn::Add(value, hn::AndNot(inside, distance)), most);
    return hn::IfThenElseZero(hn::Gt(magnitude, hn::Zero(d)), found);
  }
};

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif  // LACONIC_NARROW_INL_H
