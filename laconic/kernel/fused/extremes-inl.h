// The extremes of runs as ordered integers (RangeKeys), many runs side by side. Included once for
// each instruction set (see Highway's foreach_target.h), so the guard below is a toggle and not
// #pragma once.
#if defined(LACONIC_EXTREMES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_EXTREMES_INL_H
#undef LACONIC_EXTREMES_INL_H
#else
#define LACONIC_EXTREMES_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "laconic/kernel/fused/elements-inl.h"
#include "laconic/kernel/fused/runs.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Keys = hn::ScalableTag<int32_t>;

HWY_INLINE int32_t float_bits(float x) { return std::bit_cast<int32_t>(x); }
HWY_INLINE int32_t float_bits(uint16_t x) { return static_cast<int32_t>(uint32_t{x} << 16); }

// Keys are found on whole elements: bfloat16 on 16 bits, twice as many at once.
template <typename T>
using Word = std::conditional_t<sizeof(T) == 4, int32_t, int16_t>;
template <typename T>
using Words = hn::ScalableTag<Word<T>>;

/// The bits of |x|.
struct Magnitude {
  template <class D>
  static HWY_INLINE hn::Vec<D> key(D d, hn::Vec<D> bits) {
    return hn::And(bits, hn::Set(d, std::numeric_limits<hn::TFromD<D>>::max()));
  }
  static HWY_INLINE int32_t key(int32_t bits) { return bits & 0x7FFFFFFF; }
};
/// `ordered_key`.
struct Order {
  template <class D>
  static HWY_INLINE hn::Vec<D> key(D d, hn::Vec<D> bits) {
    return hn::Xor(bits, Magnitude::key(d, hn::BroadcastSignBit(bits)));
  }
  static HWY_INLINE int32_t key(int32_t bits) { return bits ^ (bits >> 31 & 0x7FFFFFFF); }
};

struct Largest {
  template <class V>
  static HWY_INLINE V of(V a, V b) {
    return hn::Max(a, b);
  }
  static HWY_INLINE int32_t of(int32_t a, int32_t b) { return std::max(a, b); }
  template <typename Int>
  static constexpr Int kOfNone = std::numeric_limits<Int>::min();
};
struct Smallest {
  template <class V>
  static HWY_INLINE V of(V a, V b) {
    return hn::Min(a, b);
  }
  static HWY_INLINE int32_t of(int32_t a, int32_t b) { return std::min(a, b); }
  template <typename Int>
  static constexpr Int kOfNone = std::numeric_limits<Int>::max();
};

/// Keys of 16 bits, two in a lane, as keys of floats; one of the two is chosen.
template <class Choose>
HWY_INLINE hn::Vec<Keys> float_keys(hn::Vec<hn::ScalableTag<int16_t>> keys) {
  const Keys d;
  const auto both = hn::BitCast(d, keys);
  const auto left = Choose::of(hn::ShiftLeft<16>(both),
                               hn::And(both, hn::Set(d, static_cast<int32_t>(0xFFFF0000))));
  return hn::Or(left, hn::And(hn::BroadcastSignBit(left), hn::Set(d, 0xFFFF)));
}
template <class Choose>
HWY_INLINE hn::Vec<Keys> float_keys(hn::Vec<Keys> keys) {
  return keys;
}

/// Chosen keys of a run, one a lane; of all elements but `done` and later ones, less than a vector
/// of floats.
template <class Key, class Choose, typename T>
HWY_INLINE hn::Vec<Keys> keys_in_lanes(const T* HWY_RESTRICT x, int64_t count, int64_t& done) {
  const Words<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto* words = reinterpret_cast<const Word<T>*>(x);
  const auto key = [&](int64_t i) HWY_ATTR { return Key::key(d, hn::LoadU(d, words + i)); };
  auto first = hn::Set(d, Choose::template kOfNone<Word<T>>);
  int64_t i = 0;
  if (count >= 4 * lanes) {
    auto second = first, third = first, fourth = first;
    for (; i + 4 * lanes <= count; i += 4 * lanes) {
      first = Choose::of(first, key(i));
      second = Choose::of(second, key(i + lanes));
      third = Choose::of(third, key(i + 2 * lanes));
      fourth = Choose::of(fourth, key(i + 3 * lanes));
    }
    first = Choose::of(Choose::of(first, second), Choose::of(third, fourth));
  }
  for (; i + lanes <= count; i += lanes) first = Choose::of(first, key(i));
  auto found = float_keys<Choose>(first);
  const hn::ScalableTag<float> floats;
  const Keys whole;
  const auto few = static_cast<int64_t>(hn::Lanes(whole));
  for (; sizeof(T) == 2 && i + few <= count; i += few)
    found = Choose::of(found, Key::key(whole, hn::BitCast(whole, load(floats, x + i))));
  done = i;
  return found;
}

/// Keys of the runs that lie in kVectors vectors of words one after the other, a lane each: by
/// halves.
template <class Choose, int64_t kVectors, class VectorOf>
HWY_INLINE auto key_of_each(const VectorOf& vector_of, int64_t first = 0) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (kVectors > 1) {
    const Keys d;
    const auto one = key_of_each<Choose, kVectors / 2>(vector_of, first);
    const auto other = key_of_each<Choose, kVectors / 2>(vector_of, first + kVectors / 2);
    const hn::DFromV<decltype(one)> words;
    const auto a = hn::BitCast(d, one), b = hn::BitCast(d, other);
    return Choose::of(hn::BitCast(words, hn::ConcatEven(d, b, a)),
                      hn::BitCast(words, hn::ConcatOdd(d, b, a)));
  } else {
    return vector_of(first);
  }
#else
  return vector_of(first);
#endif
}

/// Chosen keys of runs of `group` elements that fill whole vectors, or half a vector each, as many
/// runs at a time as there are lanes. @returns of how many runs.
template <class Key, class Choose, typename T>
HWY_INLINE int64_t keys_of_vectors([[maybe_unused]] const T* x, [[maybe_unused]] int64_t runs,
                                   [[maybe_unused]] int64_t group, [[maybe_unused]] int32_t* keys) {
  int64_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  const Keys d;
  const Words<T> words;
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(d));
  const auto length = static_cast<int64_t>(hn::Lanes(words)), vectors = group / length;
  if (group % length != 0 && 2 * group != length) return 0;
  for (; done + kLanes <= runs; done += kLanes) {
    const auto* from = reinterpret_cast<const Word<T>*>(x + done * group);
    const auto key = [&](int64_t i)
                         HWY_ATTR { return Key::key(words, hn::LoadU(words, from + i * length)); };
    const auto of_run = [&](int64_t run) HWY_ATTR {
      auto found = key(run * vectors);
      for (int64_t i = 1; i < vectors; ++i) found = Choose::of(found, key(run * vectors + i));
      return found;
    };
    const auto found =
        vectors == 0 ? key_of_each<Choose, kLanes / 2>(key) : key_of_each<Choose, kLanes>(of_run);
    hn::Store(float_keys<Choose>(found), d, keys + done);
  }
#endif
  return done;
}

/// Chosen keys of runs into keys[0 ... runs), and up to a vector of others. Runs lie one after the
/// other from x on; run i has count_of(i) elements, one at least.
template <class Key, class Choose, typename T, class CountOf>
HWY_INLINE void keys_of_runs(const T* x, int64_t runs, const CountOf& count_of, int32_t* keys) {
  const Keys d;
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(d));
  constexpr int32_t kNone = Choose::template kOfNone<int32_t>;
  HWY_ALIGN int32_t in_lanes[kLanes * kLanes] = {};
  HWY_ALIGN int32_t rest[kLanes];
  hn::Store(hn::Set(d, kNone), d, rest);
  for (int64_t begin = 0; begin < runs; begin += kLanes) {
    const int64_t some = std::min(kLanes, runs - begin);
    for (int64_t run = 0; run < some; ++run) {
      const int64_t count = count_of(begin + run);
      int64_t i = 0;
      if constexpr (kLanes > 1)
        hn::Store(keys_in_lanes<Key, Choose>(x, count, i), d, in_lanes + run * kLanes);
      rest[run] = kNone;
      for (; i < count; ++i) rest[run] = Choose::of(rest[run], Key::key(float_bits(x[i])));
      x += count;
    }
    auto found = hn::Load(d, rest);
    if constexpr (kLanes > 1) {
      const auto vector_of = [&](int64_t i) HWY_ATTR { return hn::Load(d, in_lanes + i * kLanes); };
      found = Choose::of(found, key_of_each<Choose, kLanes>(vector_of));
    }
    hn::Store(found, d, keys + begin);
  }
}

/// The same of runs that are all as long the quick way where there is one.
template <class Key, class Choose, typename T, class CountOf>
HWY_INLINE void keys_of(const ScaleRuns& whole, const T* x, int64_t runs, const CountOf& count_of,
                        int32_t* keys) {
  int64_t done = 0;
  if (whole.length % whole.group == 0)
    done = keys_of_vectors<Key, Choose>(x, runs, whole.group, keys);
  keys_of_runs<Key, Choose>(
      x + done * whole.group, runs - done, [&](int64_t i) { return count_of(done + i); },
      keys + done);
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LACONIC_EXTREMES_INL_H
