#include "laconic/kernel/fused/loops.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/fused/backward_loops.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/cache_control.h>

#include "laconic/kernel/fused/elements-inl.h"
#include "laconic/kernel/fused/extremes-inl.h"
#include "laconic/kernel/fused/kinds-inl.h"
#include "laconic/kernel/fused/shares-inl.h"
#include "laconic/kernel/fused/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

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

  /// @param input  where the gradient of the input goes; nullptr: nowhere.
  HWY_INLINE void add(const T* x, const T* gradient, float* input) {
    const auto element = load(d, x);
    const auto parts =
        gradient_of<O, kGrid, kZero>(element, load(d, gradient), run, grid, job.is_clipped);
    if (input != nullptr) hn::StoreU(parts.input, d, input);
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

/// @param input  for the gradients of the place's inputs through their own codes, or nullptr
template <typename T, GridKind kGrid, bool kZero>
HWY_INLINE GradientSums sums_of(const BackwardJob& job, const Place& place,
                                const ScaleNumbers& numbers, float* input) {
  constexpr int64_t kTogether = 1024;
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  const auto* gradient = static_cast<const T*>(job.gradient) + place.begin;
  const auto lanes = static_cast<int64_t>(hn::Lanes(Wide()));
  const auto input_at = [&](int64_t i) { return input == nullptr ? nullptr : input + i; };
  Sums<Wide, T, kGrid, kZero> wide(job, numbers);
  int64_t i = 0;
  GradientSums total;
  while (i + lanes <= place.count) {
    const int64_t stop = std::min(place.count, i + kTogether);
    for (; i + lanes <= stop; i += lanes) wide.add(x + i, gradient + i, input_at(i));
    wide.move_to(total);
  }
  if (i == place.count) return total;
  Sums<One, T, kGrid, kZero> one(job, numbers);
  for (; i < place.count; ++i) one.add(x + i, gradient + i, input_at(i));
  one.move_to(total);
  return total;
}

template <typename T, GridKind kGrid, bool kZero>
void sum_pieces(const BackwardJob& job, int64_t first, int64_t last, GradientSums* sums) {
  const Places places(job.runs, job.runs.pieces_of_run());
  for (int64_t piece = first; piece < last; ++piece) {
    const Place place = places[piece];
    sums[piece] = sums_of<T, kGrid, kZero>(job, place, numbers_of(job, place.scale), nullptr);
  }
}

/// Writes the gradients of a place's inputs; `own_of(d, i)` gives those of element i, and of those
/// after it, through their codes.
template <typename T, class OwnOf>
HWY_INLINE void write_gradients(const BackwardJob& job, const Place& place,
                                const ScaleNumbers& numbers, const OwnOf& own_of) {
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  auto* result = static_cast<T*>(job.input_gradient) + place.begin;
  const auto lanes = static_cast<int64_t>(hn::Lanes(Wide()));
  const bool streams =
      job.streams && reinterpret_cast<uintptr_t>(result) % (sizeof(T) * lanes) == 0;
  const auto write = [&](auto d, int64_t i, bool past) HWY_ATTR {
    const auto set = [&](float number) HWY_ATTR { return hn::Set(d, number); };
    const Extremes<decltype(d)> extremes{set(numbers.low), set(numbers.high),
                                         set(numbers.low_share), set(numbers.high_share)};
    store(d, with_shares(d, job, extremes, load(d, x + i), own_of(d, i)), result + i, past);
  };
  int64_t i = 0;
  for (; i + lanes <= place.count; i += lanes) write(Wide(), i, streams);
  for (; i < place.count; ++i) write(One(), i, false);
}

template <typename T, GridKind kGrid, bool kZero>
void write_pieces(const BackwardJob& job, int64_t first, int64_t last) {
  const Places places(job.runs, job.runs.pieces_of_run());
  for (int64_t piece = first; piece < last; ++piece) {
    const Place place = places[piece];
    const ScaleNumbers numbers = numbers_of(job, place.scale);
    const auto* x = static_cast<const T*>(job.x) + place.begin;
    const auto* gradient = static_cast<const T*>(job.gradient) + place.begin;
    const auto own_of = [&](auto d, int64_t i) HWY_ATTR {
      using O = VectorOps<decltype(d)>;
      const auto run = run_scale<O>(numbers.scale, numbers.zero_point);
      return gradient_of<O, kGrid, kZero>(load(d, x + i), load(d, gradient + i), run,
                                          grid_numbers<O>(job.grid), job.is_clipped)
          .input;
    };
    write_gradients<T>(job, place, numbers, own_of);
  }
  if (job.streams) hwy::FlushStream();
}

/// Runs that are worked on side by side: extremes, gradients of the numbers made of them, and those
/// of all inputs through their own codes.
struct RunsTogether {
  static constexpr int64_t kMost = 256, kElements = 4096;  // they stay in the first cache
  HWY_ALIGN float input[ScaleRuns::kPiece];
  // Read in whole vectors.
  HWY_ALIGN int32_t low_key[kMost] = {}, high_key[kMost] = {};
  HWY_ALIGN float low[kMost] = {}, high[kMost] = {}, real_scale[kMost] = {};
  HWY_ALIGN float of_scale[kMost] = {}, of_zero_point[kMost] = {};
  HWY_ALIGN float low_count[kMost] = {}, high_count[kMost] = {};
  HWY_ALIGN float low_share[kMost] = {}, high_share[kMost] = {};
};

template <typename T>
HWY_INLINE void find_extremes(const BackwardJob& job, int64_t begin, int64_t count,
                              RunsTogether& all) {
  const auto* x = static_cast<const T*>(job.x) + begin * job.runs.group;
  const auto count_of = [&](int64_t) { return job.runs.group; };
  if (job.of_magnitude) {
    keys_of<Magnitude, Largest>(job.runs, x, count, count_of, all.high_key);
  } else {
    keys_of<Order, Smallest>(job.runs, x, count, count_of, all.low_key);
    keys_of<Order, Largest>(job.runs, x, count, count_of, all.high_key);
  }
  // Keys of magnitudes are their own.
  const auto float_of = [](int32_t key) { return std::bit_cast<float>(Order::key(key)); };
  for (int64_t i = 0; i < count; ++i)
    all.low[i] = float_of(all.low_key[i]), all.high[i] = float_of(all.high_key[i]);
}

template <typename T, GridKind kGrid, bool kZero>
HWY_INLINE void sum_gradients(const BackwardJob& job, int64_t begin, int64_t count,
                              RunsTogether& all) {
  const int64_t group = job.runs.group;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t run = begin + i;
    const ScaleNumbers numbers{
        job.scale[run], kZero ? job.zero_point[run] : 0, all.low[i], all.high[i], 0, 0};
    const auto sums =
        sums_of<T, kGrid, kZero>(job, {run * group, group, run}, numbers, all.input + i * group);
    all.of_scale[i] = static_cast<float>(sums.scale);
    all.of_zero_point[i] = static_cast<float>(sums.zero_point);
    all.low_count[i] = static_cast<float>(sums.low);
    all.high_count[i] = static_cast<float>(sums.high);
  }
}

/// Gradients of scales before they were coded, in place of those after it.
CodedScaleSums pass_codes(const BackwardJob& job, int64_t count, RunsTogether& all) {
  using O = VectorOps<Wide>;
  const Wide d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  CodedScaleSums sums;
  auto total = hn::Zero(d);
  for (int64_t i = 0; i < count; i += lanes) {
    const auto counted =
        hn::Lt(hn::Iota(d, static_cast<float>(i)), hn::Set(d, static_cast<float>(count)));
    const auto real = scale_of_range<O>(hn::Load(d, all.high + i), job.rule);
    const auto parts = gradient_of_coded_scale<O>(real, hn::Load(d, all.of_scale + i), job.codes);
    const auto is_largest = hn::Eq(real, hn::Set(d, job.codes.largest));
    const auto share = hn::IfThenElseZero(is_largest, hn::Set(d, job.codes.share));
    hn::Store(hn::Add(parts.input, share), d, all.of_scale + i);
    hn::Store(real, d, all.real_scale + i);
    total = hn::Add(total, hn::IfThenElseZero(counted, parts.scale));
  }
  for (int64_t i = 0; i < count; ++i) sums.add({0, all.real_scale[i], 1});
  sums.scale = hn::GetLane(hn::SumOfLanes(d, total));
  return sums;
}

/// What each element that is an extreme is given, of the gradients of scales and zero points.
template <bool kZero>
HWY_INLINE void find_shares(const BackwardJob& job, int64_t begin, int64_t count,
                            RunsTogether& all) {
  using O = VectorOps<Wide>;
  const Wide d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  if (job.codes.scale == nullptr) std::copy_n(job.scale + begin, count, all.real_scale);
  for (int64_t i = 0; i < count; i += lanes) {
    const auto low = hn::Load(d, all.low + i), high = hn::Load(d, all.high + i);
    const NumbersOfRange<O> numbers{hn::Load(d, all.real_scale + i), hn::Load(d, all.of_scale + i),
                                    hn::Load(d, all.of_zero_point + i)};
    ExtremeGradients<O> of{hn::Zero(d), hn::Zero(d)};
    if (job.of_magnitude)
      of.high = hn::Mul(numbers.of_scale, slope_of_range<O>(numbers.scale, high, job.rule));
    else
      of = gradients_of_range<O, kZero>(low, high, numbers, job.rule, job.grid, job.is_clipped);
    hn::Store(hn::Div(of.low, hn::Load(d, all.low_count + i)), d, all.low_share + i);
    hn::Store(hn::Div(of.high, hn::Load(d, all.high_count + i)), d, all.high_share + i);
  }
}

template <typename T, GridKind kGrid, bool kZero>
CodedScaleSums write_found(BackwardJob job, int64_t first, int64_t last) {
  HWY_ALIGN RunsTogether all;
  const int64_t group = job.runs.group;
  const int64_t together =
      std::clamp<int64_t>(RunsTogether::kElements / group, 1, RunsTogether::kMost);
  job.high = all.high;  // that there are some
  job.low = job.of_magnitude ? nullptr : all.low;
  CodedScaleSums sums;
  for (int64_t begin = first; begin < last; begin += together) {
    const int64_t count = std::min(together, last - begin);
    find_extremes<T>(job, begin, count, all);
    sum_gradients<T, kGrid, kZero>(job, begin, count, all);
    if (job.codes.scale != nullptr) sums.add(pass_codes(job, count, all));
    find_shares<kZero>(job, begin, count, all);
    for (int64_t i = 0; i < count; ++i) {
      const Place place{(begin + i) * group, group, begin + i};
      const ScaleNumbers numbers{
          0, 0, all.low[i], all.high[i], all.low_share[i], all.high_share[i]};
      const float* input = all.input + i * group;
      write_gradients<T>(job, place, numbers,
                         [&](auto d, int64_t at) HWY_ATTR { return hn::LoadU(d, input + at); });
    }
  }
  if (job.streams) hwy::FlushStream();
  return sums;
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

CodedScaleSums any_write_found(const BackwardJob& job, int64_t first, int64_t last) {
  return for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    return write_found<T, kGrid, kZero>(job, first, last);
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
CodedScaleSums write_found_gradients(const BackwardJob& job, int64_t first, int64_t last) {
  return HWY_DYNAMIC_DISPATCH(any_write_found)(job, first, last);
}
void write_input_gradients(const BackwardJob& job, int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(any_write_pieces)(job, first, last);
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
