#include "laconic/kernel/fused/loops.h"

#include <algorithm>

#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/fused/loops.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/cache_control.h>

#include "laconic/kernel/fused/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

using Wide = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

/// Runs that are worked on together: their elements stay in the first cache between the two looks.
inline constexpr int64_t kElementsTogether = 4096;
inline constexpr int64_t kRunsTogether = 256;

/// Keys of several runs side by side, and the numbers made of them.
struct Together {
  HWY_ALIGN int32_t low[kRunsTogether], high[kRunsTogether], magnitude[kRunsTogether];
  HWY_ALIGN float scale[kRunsTogether], zero_point[kRunsTogether];
};

template <typename T>
HWY_INLINE int32_t largest_magnitude(const T* HWY_RESTRICT x, int64_t count) {
  using O = VectorOps<Wide>;
  const Wide d;
  const O::DI whole;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto first = hn::Zero(whole), second = first, third = first, fourth = first;
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    first = hn::Max(first, magnitude_bits<O>(load(d, x + i)));
    second = hn::Max(second, magnitude_bits<O>(load(d, x + i + lanes)));
    third = hn::Max(third, magnitude_bits<O>(load(d, x + i + 2 * lanes)));
    fourth = hn::Max(fourth, magnitude_bits<O>(load(d, x + i + 3 * lanes)));
  }
  for (; i + lanes <= count; i += lanes) first = hn::Max(first, magnitude_bits<O>(load(d, x + i)));
  const auto all = hn::Max(hn::Max(first, second), hn::Max(third, fourth));
  int32_t largest = hn::GetLane(hn::MaxOfLanes(whole, all));
  for (; i < count; ++i)
    largest = std::max(largest, hn::GetLane(magnitude_bits<VectorOps<One>>(load(One(), x + i))));
  return largest;
}

template <typename T>
HWY_INLINE void extreme_keys(const T* HWY_RESTRICT x, int64_t count, int32_t& low, int32_t& high) {
  using O = VectorOps<Wide>;
  const Wide d;
  const O::DI whole;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto key = [&](int64_t i) HWY_ATTR { return ordered_key<O>(O::bits(load(d, x + i))); };
  auto low0 = hn::Set(whole, INT32_MAX), high0 = hn::Set(whole, INT32_MIN);
  auto low1 = low0, high1 = high0;
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const auto a = key(i), b = key(i + lanes);
    low0 = hn::Min(low0, a), low1 = hn::Min(low1, b);
    high0 = hn::Max(high0, a), high1 = hn::Max(high1, b);
  }
  for (; i + lanes <= count; i += lanes) {
    const auto a = key(i);
    low0 = hn::Min(low0, a), high0 = hn::Max(high0, a);
  }
  low = hn::GetLane(hn::MinOfLanes(whole, hn::Min(low0, low1)));
  high = hn::GetLane(hn::MaxOfLanes(whole, hn::Max(high0, high1)));
  for (; i < count; ++i) {
    using S = VectorOps<One>;
    const int32_t one = hn::GetLane(ordered_key<S>(S::bits(load(One(), x + i))));
    low = std::min(low, one), high = std::max(high, one);
  }
}

template <typename T, GridKind kGrid, bool kZero>
HWY_INLINE void quantize_run(const T* HWY_RESTRICT x, int64_t count, float scale, float zero_point,
                             const ElementGrid& grid, T* HWY_RESTRICT y, bool streams) {
  using O = VectorOps<Wide>;
  const Wide d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  streams = streams && reinterpret_cast<uintptr_t>(y) % (sizeof(T) * lanes) == 0;
  const RunScale<O> run = run_scale<O>(scale, zero_point);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto element = element_of<O, kGrid, kZero>(load(d, x + i), run, grid);
    store(d, value_of<O, kZero>(element, run), y + i, streams);
  }
  if (i == count) return;
  using S = VectorOps<One>;
  const RunScale<S> one = run_scale<S>(scale, zero_point);
  for (; i < count; ++i) {
    const auto element = element_of<S, kGrid, kZero>(load(One(), x + i), one, grid);
    store(One(), value_of<S, kZero>(element, one), y + i, false);
  }
}

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
    hn::Store(scale, d, all.scale + i);
    hn::Store(zero_point, d, all.zero_point + i);
    const auto counted =
        hn::Lt(hn::Iota(d, static_cast<float>(i)), hn::Set(d, static_cast<float>(count)));
    is_finite = is_finite && hn::AllTrue(d, hn::Or(finite, hn::Not(counted)));
  }
  return is_finite;
}

/// The part of `job` that its type decides.
template <typename T>
struct Typed {
  const FusedJob& job;
  const T* x = static_cast<const T*>(job.x);
  T* value = static_cast<T*>(job.value);

  HWY_INLINE RangeKeys keys(int64_t begin, int64_t count) const {
    RangeKeys keys;
    if (job.rule.statistic == RangeStatistic::kAbsMax)
      keys.magnitude = largest_magnitude(x + begin, count);
    else
      extreme_keys(x + begin, count, keys.low, keys.high);
    return keys;
  }

  template <GridKind kGrid, bool kZero>
  HWY_INLINE void quantize(int64_t begin, int64_t count, float scale, float zero_point) const {
    quantize_run<T, kGrid, kZero>(x + begin, count, scale, zero_point, job.grid, value + begin,
                                  job.streams);
  }
};

template <typename T, GridKind kGrid, bool kZero>
bool found_runs(const FusedJob& job, int64_t first, int64_t last) {
  const Typed<T> typed{job};
  const Places places(job.runs, 1);
  const int64_t together =
      std::clamp<int64_t>(kElementsTogether / job.runs.group, 1, kRunsTogether);
  HWY_ALIGN Together all = {};
  bool is_finite = true;
  for (int64_t begin = first; begin < last; begin += together) {
    const int64_t count = std::min(together, last - begin);
    for (int64_t i = 0; i < count; ++i) {
      const Place place = places[begin + i];
      RangeKeys keys = typed.keys(place.begin, place.count);
      if (place.count < job.runs.group) keys.add_zero();
      all.low[i] = keys.low, all.high[i] = keys.high, all.magnitude[i] = keys.magnitude;
    }
    is_finite = numbers_together(job, all, count) && is_finite;
    for (int64_t i = 0; i < count && job.value != nullptr; ++i) {
      const Place place = places[begin + i];
      typed.template quantize<kGrid, kZero>(place.begin, place.count, all.scale[i],
                                            all.zero_point[i]);
    }
    if (job.numbers.scale != nullptr) std::copy_n(all.scale, count, job.numbers.scale + begin);
    if (job.numbers.zero_point != nullptr)
      std::copy_n(all.zero_point, count, job.numbers.zero_point + begin);
  }
  if (job.streams) hwy::FlushStream();
  return is_finite;
}

template <typename T, GridKind kGrid, bool kZero>
void given_pieces(const FusedJob& job, int64_t first, int64_t last) {
  const Typed<T> typed{job};
  const Places places(job.runs, job.runs.pieces_of_run());
  for (int64_t i = first; i < last; ++i) {
    const Place place = places[i];
    const float zero_point = kZero ? job.numbers.zero_point[place.scale] : 0;
    typed.template quantize<kGrid, kZero>(place.begin, place.count, job.numbers.scale[place.scale],
                                          zero_point);
  }
  if (job.streams) hwy::FlushStream();
}

template <typename T>
void piece_keys(const FusedJob& job, int64_t first, int64_t last, RangeKeys* keys) {
  const Places places(job.runs, job.runs.pieces_of_run());
  for (int64_t i = first; i < last; ++i) {
    const Place place = places[i];
    keys[i] = place.count == 0 ? RangeKeys{} : Typed<T>{job}.keys(place.begin, place.count);
  }
}

/// Calls `body.operator()<T, kGrid, kZero>()` for what the job is.
template <typename T, bool kZero, class Body>
HWY_INLINE auto for_grid(const FusedJob& job, const Body& body) {
  switch (job.grid.kind) {
    case GridKind::kMinifloat:
      return body.template operator()<T, GridKind::kMinifloat, kZero>();
    case GridKind::kTable:
      return body.template operator()<T, GridKind::kTable, kZero>();
    case GridKind::kInteger:
      break;
  }
  return body.template operator()<T, GridKind::kInteger, kZero>();
}
template <class Body>
HWY_INLINE auto for_kind(const FusedJob& job, const Body& body) {
  const bool has_zero = job.numbers.zero_point != nullptr || job.rule.zero_point != ZeroRule::kNone;
  if (job.type == ElementType::kFloat)
    return has_zero ? for_grid<float, true>(job, body) : for_grid<float, false>(job, body);
  return has_zero ? for_grid<uint16_t, true>(job, body) : for_grid<uint16_t, false>(job, body);
}

bool any_found_runs(const FusedJob& job, int64_t first, int64_t last) {
  return for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    return found_runs<T, kGrid, kZero>(job, first, last);
  });
}

void any_given_pieces(const FusedJob& job, int64_t first, int64_t last) {
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    given_pieces<T, kGrid, kZero>(job, first, last);
  });
}

void any_piece_keys(const FusedJob& job, int64_t first, int64_t last, RangeKeys* keys) {
  job.type == ElementType::kFloat ? piece_keys<float>(job, first, last, keys)
                                  : piece_keys<uint16_t>(job, first, last, keys);
}

bool all_numbers(const FusedJob& job, const RangeKeys* keys) {
  HWY_ALIGN Together all = {};
  bool is_finite = true;
  for (int64_t begin = 0; begin < job.runs.scales(); begin += kRunsTogether) {
    const int64_t count = std::min(kRunsTogether, job.runs.scales() - begin);
    for (int64_t i = 0; i < count; ++i) {
      const RangeKeys& one = keys[begin + i];
      all.low[i] = one.low, all.high[i] = one.high, all.magnitude[i] = one.magnitude;
    }
    is_finite = numbers_together(job, all, count) && is_finite;
    std::copy_n(all.scale, count, job.numbers.scale + begin);
    if (job.numbers.zero_point != nullptr)
      std::copy_n(all.zero_point, count, job.numbers.zero_point + begin);
  }
  return is_finite;
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(any_found_runs);
HWY_EXPORT(any_given_pieces);
HWY_EXPORT(any_piece_keys);
HWY_EXPORT(all_numbers);

}  // namespace

bool quantize_found_runs(const FusedJob& job, int64_t first, int64_t last) {
  return HWY_DYNAMIC_DISPATCH(any_found_runs)(job, first, last);
}
void quantize_given_pieces(const FusedJob& job, int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(any_given_pieces)(job, first, last);
}
void find_piece_keys(const FusedJob& job, int64_t first, int64_t last, RangeKeys* keys) {
  HWY_DYNAMIC_DISPATCH(any_piece_keys)(job, first, last, keys);
}
bool find_numbers(const FusedJob& job, const RangeKeys* keys) {
  return HWY_DYNAMIC_DISPATCH(all_numbers)(job, keys);
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
