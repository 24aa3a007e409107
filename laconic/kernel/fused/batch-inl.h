// Runs that are worked on together, and their numbers. Included once for each instruction set (see
// Highway's foreach_target.h), so the guard below is a toggle and not #pragma once.
#if defined(LACONIC_BATCH_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_BATCH_INL_H
#undef LACONIC_BATCH_INL_H
#else
#define LACONIC_BATCH_INL_H
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "laconic/kernel/fused/extremes-inl.h"
#include "laconic/kernel/fused/job.h"
#include "laconic/kernel/fused/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Grid = GridOf<VectorOps<Wide>>;

/// Runs that are worked on together: their elements stay in the first cache between the two looks.
inline constexpr int64_t kElementsTogether = 4096;
inline constexpr int64_t kRunsTogether = 256;

inline int64_t runs_together(int64_t elements) {
  return std::clamp<int64_t>(kElementsTogether / elements, 1, kRunsTogether);
}

/// Keys of several runs side by side, and the numbers made of them.
struct Together {
  HWY_ALIGN int32_t low[kRunsTogether], high[kRunsTogether], magnitude[kRunsTogether];
  HWY_ALIGN float scale[kRunsTogether], inverse[kRunsTogether], zero_point[kRunsTogether];
};

/// Numbers of `count` runs whose keys stand in `all`; the arrays are read in whole vectors.
HWY_INLINE bool numbers_together(const FusedJob& job, Together& all, int64_t count) {
  using O = VectorOps<Wide>;
  const Wide d;
  const O::DI whole;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  bool is_finite = true;
  for (int64_t i = 0; i < count; i += lanes) {
    auto scale = hn::Zero(d), zero_point = scale;
    const auto finite = numbers_of_keys<O>(
        hn::Load(whole, all.low + i), hn::Load(whole, all.high + i),
        hn::Load(whole, all.magnitude + i), job.rule, job.grid, scale, zero_point);
    if (job.codes.scale != nullptr) scale = coded_scale<O>(scale, job.codes);
    hn::Store(scale, d, all.scale + i);
    hn::Store(zero_point, d, all.zero_point + i);
    const auto counted =
        hn::Lt(hn::Iota(d, static_cast<float>(i)), hn::Set(d, static_cast<float>(count)));
    is_finite = is_finite && hn::AllTrue(d, hn::Or(finite, hn::Not(counted)));
  }
  return is_finite;
}

/// Reciprocals of the scales, and how to divide by all of them.
HWY_INLINE DivideBy prepare_division(Together& all, int64_t count) {
  const Wide d;
  const Keys whole;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto one = hn::Set(d, 1.0F);
  auto smallest = one, largest = one;
  auto digits = hn::Zero(whole);
  for (int64_t i = 0; i < count; i += lanes) {
    const auto counted =
        hn::Lt(hn::Iota(d, static_cast<float>(i)), hn::Set(d, static_cast<float>(count)));
    const auto scale = hn::IfThenElse(counted, hn::Load(d, all.scale + i), one);
    hn::Store(hn::Div(one, scale), d, all.inverse + i);
    smallest = hn::IfThenElse(hn::Gt(scale, smallest), smallest, scale);
    largest = hn::IfThenElse(hn::Lt(scale, largest), largest, scale);
    digits = hn::Or(digits, hn::And(hn::BitCast(whole, scale), hn::Set(whole, 0x007FFFFF)));
  }
  const auto is_quick = hn::And(hn::Gt(smallest, hn::Set(d, kSmallestQuick)),
                                hn::Lt(largest, hn::Set(d, kLargestQuick)));
  if (!hn::AllTrue(d, is_quick)) return DivideBy::kDivision;
  if (hn::AllTrue(whole, hn::Eq(digits, hn::Zero(whole)))) return DivideBy::kPower;
  return HWY_NATIVE_FMA ? DivideBy::kQuick : DivideBy::kDivision;
}

/// Elements that share a scale, and how far ahead of its use memory is asked for, in elements.
template <typename T>
struct Run {
  const T* HWY_RESTRICT x;
  T* HWY_RESTRICT y;
  int64_t count, ahead;
  bool streams;
};

/// Whether the run's values go past the cache: in whole vectors, or in one half of a vector each
/// (short runs of bfloat16); never some of a line of the cache and some not, which takes long.
template <typename T>
HWY_INLINE bool goes_past_cache(const Run<T>& run) {
  constexpr int64_t kLong = 1024;  // elements; of more the rest costs little
  const auto lanes = static_cast<int64_t>(hn::Lanes(Wide()));
  const int64_t unit = run.count < 2 * lanes ? lanes : lanes * int64_t{sizeof(float) / sizeof(T)};
  return run.streams &&
         reinterpret_cast<uintptr_t>(run.y) % (sizeof(T) * static_cast<size_t>(unit)) == 0 &&
         (run.count >= kLong || run.count % unit == 0);
}

/// Where runs lie that are worked on together, one after the other.
struct Batch {
  int64_t begin, count;  ///< first element; runs
  int64_t ahead;
};

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LACONIC_BATCH_INL_H
