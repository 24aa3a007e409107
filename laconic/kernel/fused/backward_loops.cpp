#include "laconic/kernel/fused/loops.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/fused/backward_loops.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/cache_control.h>

#include "laconic/kernel/fused/elements-inl.h"
#include "laconic/kernel/fused/extremes-inl.h"
#include "laconic/kernel/fused/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

using Wide = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

/// The numbers of one scale.
struct ScaleNumbers {
  float scale, zero_point, low, high, low_share, high_share;
};
HWY_INLINE ScaleNumbers numbers_of(const BackwardJob& job, int64_t scale) {
  const auto at = [&](const float* numbers) { return numbers == nullptr ? 0 : numbers[scale]; };
  return {job.scale[scale], at(job.zero_point), at(job.low),
          at(job.high),     at(job.low_share),  at(job.high_share)};
}

/// Sums of up to 1024 elements: few enough for sums in float.
template <class D, typename T, GridKind kGrid, bool kZero>
struct Sums {
  using O = VectorOps<D>;
  D d;
  const BackwardJob& job;
  RunScale<O> run;
  GridOf<O> grid;
  hn::Vec<D> low_extreme, high_extreme;
  hn::Vec<D> scale = hn::Zero(D()), zero_point = scale, low = scale, high = scale;

  HWY_INLINE Sums(const BackwardJob& whole, const ScaleNumbers& numbers)
      : job(whole),
        run(run_scale<O>(numbers.scale, numbers.zero_point)),
        grid(grid_numbers<O>(whole.grid)),
        low_extreme(O::set(numbers.low)),
        high_extreme(O::set(numbers.high)) {}

  HWY_INLINE void add(const T* x, const T* gradient) {
    const auto element = load(d, x);
    const auto parts =
        gradient_of<O, kGrid, kZero>(element, load(d, gradient), run, grid, job.is_clipped);
    scale = hn::Add(scale, parts.scale);
    if constexpr (kZero) zero_point = hn::Add(zero_point, parts.zero_point);
    if (job.high == nullptr) return;
    const auto one = hn::Set(d, 1);
    const auto size = job.of_magnitude ? hn::Abs(element) : element;
    high = hn::Add(high, hn::IfThenElseZero(hn::Eq(size, high_extreme), one));
    if (job.low != nullptr)
      low = hn::Add(low, hn::IfThenElseZero(hn::Eq(element, low_extreme), one));
  }

  HWY_INLINE void move_to(GradientSums& total) {
    const auto all = [&](auto v) HWY_ATTR { return hn::GetLane(hn::SumOfLanes(d, v)); };
    total.add({all(scale), all(zero_point), static_cast<int64_t>(all(low)),
               static_cast<int64_t>(all(high))});
    scale = zero_point = low = high = hn::Zero(d);
  }
};

template <typename T, GridKind kGrid, bool kZero>
HWY_INLINE GradientSums sums_of(const BackwardJob& job, const Place& place,
                                const ScaleNumbers& numbers) {
  constexpr int64_t kTogether = 1024;
  const auto* x = static_cast<const T*>(job.x);
  const auto* gradient = static_cast<const T*>(job.gradient);
  const auto lanes = static_cast<int64_t>(hn::Lanes(Wide()));
  Sums<Wide, T, kGrid, kZero> wide(job, numbers);
  int64_t i = place.begin;
  const int64_t end = place.begin + place.count;
  GradientSums total;
  while (i + lanes <= end) {
    const int64_t stop = std::min(end, i + kTogether);
    for (; i + lanes <= stop; i += lanes) wide.add(x + i, gradient + i);
    wide.move_to(total);
  }
  if (i == end) return total;
  Sums<One, T, kGrid, kZero> one(job, numbers);
  for (; i < end; ++i) one.add(x + i, gradient + i);
  one.move_to(total);
  return total;
}

template <typename T, GridKind kGrid, bool kZero>
void sum_pieces(const BackwardJob& job, int64_t first, int64_t last, GradientSums* sums) {
  const Places places(job.runs, job.runs.pieces_of_run());
  for (int64_t piece = first; piece < last; ++piece) {
    const Place place = places[piece];
    sums[piece] = sums_of<T, kGrid, kZero>(job, place, numbers_of(job, place.scale));
  }
}

template <class D, typename T, GridKind kGrid, bool kZero>
HWY_INLINE hn::Vec<D> input_gradient(D d, const BackwardJob& job, const ScaleNumbers& numbers,
                                     const RunScale<VectorOps<D>>& run, const T* from,
                                     const T* gradient) {
  using O = VectorOps<D>;
  const auto x = load(d, from);
  const GridOf<O> grid = grid_numbers<O>(job.grid);
  auto result = gradient_of<O, kGrid, kZero>(x, load(d, gradient), run, grid, job.is_clipped).input;
  if (job.high == nullptr) return result;
  auto share = hn::Set(d, numbers.high_share);
  if (job.of_magnitude) {
    const auto sign = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Neg(share), share);
    share = hn::IfThenZeroElse(hn::Eq(x, hn::Zero(d)), sign);
  }
  const auto size = job.of_magnitude ? hn::Abs(x) : x;
  const auto extreme = hn::Eq(size, hn::Set(d, numbers.high));
  result = hn::Add(result, hn::IfThenElseZero(extreme, share));
  if (job.low == nullptr) return result;
  const auto lowest = hn::Eq(x, hn::Set(d, numbers.low));
  return hn::Add(result, hn::IfThenElseZero(lowest, hn::Set(d, numbers.low_share)));
}

template <typename T, GridKind kGrid, bool kZero>
HWY_INLINE void write_gradients(const BackwardJob& job, const Place& place,
                                const ScaleNumbers& numbers) {
  const auto* x = static_cast<const T*>(job.x);
  const auto* gradient = static_cast<const T*>(job.gradient);
  auto* result = static_cast<T*>(job.input_gradient);
  const auto lanes = static_cast<int64_t>(hn::Lanes(Wide()));
  const auto run = run_scale<VectorOps<Wide>>(numbers.scale, numbers.zero_point);
  int64_t i = place.begin;
  const int64_t end = place.begin + place.count;
  const bool streams =
      job.streams && reinterpret_cast<uintptr_t>(result + i) % (sizeof(T) * lanes) == 0;
  for (; i + lanes <= end; i += lanes)
    store(Wide(),
          input_gradient<Wide, T, kGrid, kZero>(Wide(), job, numbers, run, x + i, gradient + i),
          result + i, streams);
  const auto one = run_scale<VectorOps<One>>(numbers.scale, numbers.zero_point);
  for (; i < end; ++i)
    store(One(),
          input_gradient<One, T, kGrid, kZero>(One(), job, numbers, one, x + i, gradient + i),
          result + i, false);
}

template <typename T, GridKind kGrid, bool kZero>
void write_pieces(const BackwardJob& job, int64_t first, int64_t last) {
  const Places places(job.runs, job.runs.pieces_of_run());
  for (int64_t piece = first; piece < last; ++piece) {
    const Place place = places[piece];
    write_gradients<T, kGrid, kZero>(job, place, numbers_of(job, place.scale));
  }
  if (job.streams) hwy::FlushStream();
}

template <typename T, GridKind kGrid>
void write_found(const BackwardJob& job, int64_t first, int64_t last) {
  constexpr int64_t kRuns = 256, kElements = 4096;  // they stay in the first cache
  const int64_t group = job.runs.group, together = std::clamp<int64_t>(kElements / group, 1, kRuns);
  HWY_ALIGN int32_t keys[kRuns];
  BackwardJob of_run = job;
  of_run.of_magnitude = true;
  for (int64_t begin = first; begin < last; begin += together) {
    const int64_t count = std::min(together, last - begin);
    keys_of_runs<Magnitude, Largest>(
        static_cast<const T*>(job.x) + begin * group, count, [&](int64_t) { return group; }, keys);
    for (int64_t i = 0; i < count; ++i) {
      const Place place{(begin + i) * group, group, begin + i};
      ScaleNumbers numbers{job.scale[begin + i], 0, 0, std::bit_cast<float>(keys[i]), 0, 0};
      of_run.high = &numbers.high;
      const GradientSums sums = sums_of<T, kGrid, false>(of_run, place, numbers);
      numbers.high_share = static_cast<float>(sums.scale) *
                           slope_of_scale(job.rule, numbers.scale, numbers.high) /
                           static_cast<float>(sums.high);
      write_gradients<T, kGrid, false>(of_run, place, numbers);
    }
  }
  if (job.streams) hwy::FlushStream();
}

template <typename T, bool kZero, class Body>
HWY_INLINE void for_grid(const BackwardJob& job, const Body& body) {
  if (job.grid.kind == GridKind::kInteger)
    body.template operator()<T, GridKind::kInteger, kZero>();
  else
    body.template operator()<T, GridKind::kMinifloat, kZero>();
}
template <class Body>
HWY_INLINE void for_kind(const BackwardJob& job, const Body& body) {
  const bool has_zero = job.zero_point != nullptr;
  if (job.type == ElementType::kFloat)
    has_zero ? for_grid<float, true>(job, body) : for_grid<float, false>(job, body);
  else
    has_zero ? for_grid<uint16_t, true>(job, body) : for_grid<uint16_t, false>(job, body);
}

void any_sum_pieces(const BackwardJob& job, int64_t first, int64_t last, GradientSums* sums) {
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    sum_pieces<T, kGrid, kZero>(job, first, last, sums);
  });
}

void any_write_pieces(const BackwardJob& job, int64_t first, int64_t last) {
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    write_pieces<T, kGrid, kZero>(job, first, last);
  });
}

void any_write_found(const BackwardJob& job, int64_t first, int64_t last) {
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    if constexpr (!kZero) write_found<T, kGrid>(job, first, last);
  });
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(any_sum_pieces);
HWY_EXPORT(any_write_pieces);
HWY_EXPORT(any_write_found);

}  // namespace

void sum_piece_gradients(const BackwardJob& job, int64_t first, int64_t last, GradientSums* sums) {
  HWY_DYNAMIC_DISPATCH(any_sum_pieces)(job, first, last, sums);
}
void write_found_gradients(const BackwardJob& job, int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(any_write_found)(job, first, last);
}
void write_input_gradients(const BackwardJob& job, int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(any_write_pieces)(job, first, last);
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
