#include "laconic/kernel/fused/loops.h"

#include <algorithm>

#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/fused/loops.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/cache_control.h>

#include "laconic/kernel/fused/batch-inl.h"
#include "laconic/kernel/fused/elements-inl.h"
#include "laconic/kernel/fused/extremes-inl.h"
#include "laconic/kernel/fused/kinds-inl.h"
#include "laconic/kernel/fused/stairs-inl.h"
#include "laconic/kernel/fused/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

/// Quantizes elements that share a scale.
template <class O, GridKind kGrid, bool kZero>
HWY_INLINE auto quantized(hn::Vec<Wide> x, const RunScale<O>& scale, const Grid& grid) {
  return value_of<O, kZero>(element_of<O, kGrid, kZero>(x, scale, grid), scale);
}

/// Asks for the elements of a pair of vectors that is `ahead` elements away; 0: for none.
template <typename T>
HWY_INLINE void prefetch_pair(const T* x, int64_t ahead) {
  if (ahead <= 0) return;
  hwy::Prefetch(x + ahead);
  if constexpr (sizeof(T) == 4) hwy::Prefetch(x + ahead + hn::Lanes(Wide()));
}

/// The loop that all time goes to.
template <class O, GridKind kGrid, bool kZero, StoreAs kAs, typename T>
HWY_INLINE void quantize_run(const Run<T>& run, const RunScale<O>& scale, const Grid& grid) {
  const Wide d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto value = [&](hn::Vec<Wide> x)
                         HWY_ATTR { return quantized<O, kGrid, kZero>(x, scale, grid); };
  const T* HWY_RESTRICT x = run.x;
  T* HWY_RESTRICT y = run.y;
  const bool streams = goes_past_cache(run);
  int64_t i = 0;
  if constexpr (hn::MaxLanes(d) > 1) {
    for (; i + 2 * lanes <= run.count; i += 2 * lanes) {
      const auto pair = load_pair(d, x + i);
      prefetch_pair(x + i, run.ahead);
      store_pair<kAs>(d, Pair<Wide>{value(pair.first), value(pair.second)}, y + i, streams);
    }
  }
  for (; i + lanes <= run.count; i += lanes) store<kAs>(d, value(load(d, x + i)), y + i, streams);
}

/// Runs of two vectors each: the loop of `quantize_run` unrolled, without its questions.
template <class O, GridKind kGrid, bool kZero, StoreAs kAs, typename T, class ScaleOf>
HWY_INLINE void quantize_pairs(const Run<T>& first, int64_t runs, const ScaleOf& scale_of,
                               const Grid& grid) {
  const Wide d;
  const auto count = static_cast<int64_t>(2 * hn::Lanes(d));
  const bool streams = goes_past_cache(first);
  const T* HWY_RESTRICT x = first.x;
  T* HWY_RESTRICT y = first.y;
  for (int64_t i = 0; i < runs; ++i, x += count, y += count) {
    const RunScale<O> scale = scale_of(i);
    const auto value = [&](hn::Vec<Wide> of)
                           HWY_ATTR { return quantized<O, kGrid, kZero>(of, scale, grid); };
    const auto pair = load_pair(d, x);
    prefetch_pair(x, first.ahead);
    store_pair<kAs>(d, Pair<Wide>{value(pair.first), value(pair.second)}, y, streams);
  }
}

#if HWY_TARGET != HWY_SCALAR
/// The scales of two runs of which a vector of `load_pair` has each a half.
template <class O>
HWY_INLINE RunScale<O> halves(const RunScale<O>& a, const RunScale<O>& b) {
  const auto both = [](auto first, auto second)
                        HWY_ATTR { return hn::ConcatUpperLower(Wide(), second, first); };
  return {
      both(a.scale, b.scale),
      both(a.zero_point, b.zero_point),
      {both(a.divisor.scale, b.divisor.scale), both(a.divisor.inverse, b.divisor.inverse), false}};
}

/// Runs of one vector each, two at a time. @returns how many.
template <class O, GridKind kGrid, bool kZero, StoreAs kAs, typename T, class ScaleOf>
HWY_INLINE int64_t quantize_vectors(const Run<T>& first, int64_t runs, const ScaleOf& scale_of,
                                    const Grid& grid) {
  const Wide d;
  const auto count = static_cast<int64_t>(2 * hn::Lanes(d));
  const bool streams = goes_past_cache(first);
  const T* HWY_RESTRICT x = first.x;
  T* HWY_RESTRICT y = first.y;
  int64_t i = 0;
  for (; i + 2 <= runs; i += 2, x += count, y += count) {
    RunScale<O> a = scale_of(i), b = scale_of(i + 1);
    if constexpr (sizeof(T) == 2) a = b = halves<O>(a, b);
    const auto pair = load_pair(d, x);
    prefetch_pair(x, first.ahead);
    store_pair<kAs>(d,
                    Pair<Wide>{quantized<O, kGrid, kZero>(pair.first, a, grid),
                               quantized<O, kGrid, kZero>(pair.second, b, grid)},
                    y, streams);
  }
  return i;
}
#endif

/// The last elements of a run, fewer than a vector.
template <GridKind kGrid, bool kZero, typename T>
void quantize_rest(const Run<T>& run, float scale, float zero_point, const ElementGrid& elements) {
  using O = VectorOps<One>;
  const RunScale<O> one = run_scale<O>(scale, zero_point);
  const GridOf<O> grid = grid_numbers<O>(elements);
  const auto lanes = static_cast<int64_t>(hn::Lanes(Wide()));
  for (int64_t i = run.count / lanes * lanes; i < run.count; ++i) {
    const auto element = element_of<O, kGrid, kZero>(load(One(), run.x + i), one, grid);
    store(One(), value_of<O, kZero>(element, one), run.y + i, false);
  }
}

/// The first run of a batch.
template <typename T>
HWY_INLINE Run<T> first_run(const FusedJob& job, const Batch& batch, int64_t count) {
  return {static_cast<const T*>(job.x) + batch.begin, static_cast<T*>(job.value) + batch.begin,
          count, batch.ahead, job.streams};
}

/// Quantizes runs whose numbers stand in `all`; run i has count_of(i) elements.
template <class O, GridKind kGrid, bool kZero, StoreAs kAs, typename T, class CountOf>
HWY_INLINE void quantize_by(const FusedJob& job, const Together& all, const Batch& batch,
                            const CountOf& count_of) {
  const Grid grid = grid_numbers<VectorOps<Wide>>(job.grid);
  const auto lanes = static_cast<int64_t>(hn::Lanes(Wide()));
  Run<T> run = first_run<T>(job, batch, 0);
  const auto scale_of = [&](int64_t i) HWY_ATTR {
    const auto scale = O::set(all.scale[i]);
    return RunScale<O>{scale, O::set(all.zero_point[i]), {scale, O::set(all.inverse[i]), false}};
  };
  int64_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (hn::MaxLanes(Wide()) > 1) {
    run.count = 2 * lanes;
    if (job.runs.group == run.count && job.runs.length % job.runs.group == 0)
      return quantize_pairs<O, kGrid, kZero, kAs>(run, batch.count, scale_of, grid);
    if (job.runs.group == lanes && job.runs.length % lanes == 0)
      done = quantize_vectors<O, kGrid, kZero, kAs>(run, batch.count, scale_of, grid);
    run.x += done * lanes, run.y += done * lanes;
  }
#endif
  for (int64_t i = done; i < batch.count; ++i) {
    run.count = count_of(i);
    quantize_run<O, kGrid, kZero, kAs>(run, scale_of(i), grid);
    if (run.count % lanes != 0)
      quantize_rest<kGrid, kZero>(run, all.scale[i], all.zero_point[i], job.grid);
    run.x += run.count, run.y += run.count;
  }
}

#if LACONIC_HAS_NARROW
/// A whole run with one scale, or its rest: what narrow-inl.h leaves.
HWY_NOINLINE void quantize_plainly(const Run<uint16_t>& run, float scale,
                                   const ElementGrid& elements) {
  using O = VectorOps<Wide, DivideBy::kShort, true>;
  const Grid grid = grid_numbers<VectorOps<Wide>>(elements);
  quantize_run<O, GridKind::kMinifloat, false, StoreAs::kFinite>(run, run_scale<O>(scale, 0), grid);
  quantize_rest<GridKind::kMinifloat, false>(run, scale, 0, elements);
}

/// Quantizes elements of a run as `quantize_plainly` does.
struct Plainly {
  float scale;
  const ElementGrid& grid;
  HWY_INLINE void operator()(const uint16_t* x, uint16_t* y, int64_t count) const {
    quantize_plainly({x, y, count, 0, false}, scale, grid);
  }
};

/// All runs of a batch, each by the rule that `rule_of` makes of its scale.
template <class CountOf, class RuleOf>
HWY_INLINE void quantize_by_rules(const FusedJob& job, const Together& all, const Batch& batch,
                                  const CountOf& count_of, const RuleOf& rule_of) {
  auto run = first_run<uint16_t>(job, batch, 0);
  for (int64_t i = 0; i < batch.count; ++i, run.x += run.count, run.y += run.count) {
    const Plainly plain{all.scale[i], job.grid};
    run.count = count_of(i);
    const int64_t done = quantize_normal(run, rule_of(all.scale[i], plain), plain);
    if (done < run.count) plain(run.x + done, run.y + done, run.count - done);
  }
}

/// Under powers of two. @param is_even  all runs are as long
template <class CountOf>
HWY_INLINE void quantize_by_digits(const FusedJob& job, const Together& all, const Batch& batch,
                                   const CountOf& count_of, bool is_even) {
  const DigitRounding of_one = digit_rounding(job.grid);
  auto run = first_run<uint16_t>(job, batch, count_of(0));
  if (!is_even || run.count != 2 * static_cast<int64_t>(hn::Lanes(Narrow())))
    return quantize_by_rules(job, all, batch, count_of, [&](float scale, const Plainly&) HWY_ATTR {
      return moved(of_one, scale);
    });
  const bool streams = streams_words(run);
  for (int64_t i = 0; i < batch.count; ++i, run.x += run.count, run.y += run.count) {
    hwy::Prefetch(run.x + run.ahead);
    quantize_block<2>(run.x, run.y, streams, moved(of_one, all.scale[i]),
                      Plainly{all.scale[i], job.grid});
  }
}

/// Quantizes runs on the bits of their elements. @returns whether there is a way.
template <class CountOf>
HWY_INLINE bool quantize_narrow(const FusedJob& job, const Together& all, const Batch& batch,
                                DivideBy by, const CountOf& count_of) {
  const ElementGrid& grid = job.grid;
  const auto run = first_run<uint16_t>(job, batch, count_of(0));
  const bool is_even = batch.count == 1 || job.runs.length % job.runs.group == 0;
  const bool is_whole = is_even && run.count % static_cast<int64_t>(hn::Lanes(Narrow())) == 0;
  switch (narrow_way(job, by, run.count, is_whole)) {
    case NarrowWay::kNone:
      return false;
    case NarrowWay::kE2m1:
      by == DivideBy::kPower
          ? quantize_e2m1_by_powers(run, batch.count, all.scale, grid.lowest_power)
          : quantize_e2m1(run, batch.count, all.scale, grid.lowest_power);
      return true;
    case NarrowWay::kDigits:
      quantize_by_digits(job, all, batch, count_of, is_even);
      return true;
    case NarrowWay::kOctaves:
      quantize_by_rules(job, all, batch, count_of, [&](float scale, const Plainly& plain) HWY_ATTR {
        return octave_stairs(scale, grid, plain);
      });
      return true;
  }
  return false;
}
#endif

template <GridKind kGrid, bool kZero, StoreAs kAs, typename T, class CountOf>
HWY_INLINE void quantize_together(const FusedJob& job, Together& all, const Batch& batch,
                                  const CountOf& count_of) {
  const DivideBy by = prepare_division(all, batch.count);
#if LACONIC_HAS_NARROW
  if constexpr (kAs == StoreAs::kFinite && !kZero && kGrid == GridKind::kMinifloat &&
                sizeof(T) == 2) {
    if (quantize_narrow(job, all, batch, by, count_of)) return;
  }
#endif
  for_division<T, kGrid, kZero, kAs>(job.grid, by, [&]<class O, StoreAs kStore>() HWY_ATTR {
    quantize_by<O, kGrid, kZero, kStore, T>(job, all, batch, count_of);
  });
}

/// Keys of runs into `all`.
template <typename T, class CountOf>
HWY_INLINE void keys_together(const FusedJob& job, Together& all, const Batch& batch,
                              const CountOf& count_of) {
  const auto* x = static_cast<const T*>(job.x) + batch.begin;
  if (job.rule.statistic == RangeStatistic::kAbsMax)
    return keys_of<Magnitude, Largest>(job.runs, x, batch.count, count_of, all.magnitude);
  keys_of<Order, Smallest>(job.runs, x, batch.count, count_of, all.low);
  keys_of<Order, Largest>(job.runs, x, batch.count, count_of, all.high);
}

/// Finds the numbers of runs of `count_of` elements and quantizes with them.
template <typename T, GridKind kGrid, bool kZero, class CountOf>
HWY_INLINE bool found_together(const FusedJob& job, Together& all, const Batch& batch,
                               const CountOf& count_of) {
  keys_together<T>(job, all, batch, count_of);
  for (int64_t i = 0; i < batch.count; ++i) {
    if (count_of(i) == job.runs.group) continue;  // else it counts as filled with zeros
    all.low[i] = std::min(all.low[i], 0), all.high[i] = std::max(all.high[i], 0);
  }
  const bool is_finite = numbers_together(job, all, batch.count);
  if (job.value != nullptr)
    quantize_together<kGrid, kZero, StoreAs::kFinite, T>(job, all, batch, count_of);
  return is_finite;
}

template <typename T, GridKind kGrid, bool kZero>
bool found_runs(const FusedJob& job, int64_t first, int64_t last) {
  const Places places(job.runs, 1);
  const int64_t together = runs_together(job.runs.group), group = job.runs.group;
  const bool is_even = job.runs.length % group == 0;
  HWY_ALIGN Together all = {};
  bool is_finite = true;
  for (int64_t begin = first; begin < last; begin += together) {
    // The next runs are asked for while these are worked on.
    const Batch batch{places[begin].begin, std::min(together, last - begin), together * group};
    const auto count_of = [&](int64_t i) { return is_even ? group : places[begin + i].count; };
    is_finite = found_together<T, kGrid, kZero>(job, all, batch, count_of) && is_finite;
    if (job.numbers.scale != nullptr)
      std::copy_n(all.scale, batch.count, job.numbers.scale + begin);
    if (job.numbers.zero_point != nullptr)
      std::copy_n(all.zero_point, batch.count, job.numbers.zero_point + begin);
  }
  if (job.streams) hwy::FlushStream();
  return is_finite;
}

template <typename T, GridKind kGrid, bool kZero>
void given_pieces(const FusedJob& job, int64_t first, int64_t last) {
  const Places places(job.runs, job.runs.pieces_of_run());
  const int64_t together = runs_together(std::min(job.runs.group, ScaleRuns::kPiece));
  HWY_ALIGN Together all = {};
  for (int64_t begin = first; begin < last; begin += together) {
    const Batch batch{places[begin].begin, std::min(together, last - begin), 0};
    const auto count_of = [&](int64_t i) { return places[begin + i].count; };
    for (int64_t i = 0; i < batch.count; ++i) {
      const int64_t scale = places[begin + i].scale;
      all.scale[i] = job.numbers.scale[scale];
      if constexpr (kZero) all.zero_point[i] = job.numbers.zero_point[scale];
    }
    if (job.is_finite)
      quantize_together<kGrid, kZero, StoreAs::kFinite, T>(job, all, batch, count_of);
    else
      quantize_together<kGrid, kZero, StoreAs::kAny, T>(job, all, batch, count_of);
  }
  if (job.streams) hwy::FlushStream();
}

template <typename T>
void piece_keys(const FusedJob& job, int64_t first, int64_t last, RangeKeys* keys) {
  const Places places(job.runs, job.runs.pieces_of_run());
  HWY_ALIGN Together all = {};
  for (int64_t i = first; i < last; ++i) {
    const Place at = places[i];
    keys[i] = {};
    if (at.count == 0) continue;
    keys_together<T>(job, all, {at.begin, 1, 0}, [&](int64_t) { return at.count; });
    if (job.rule.statistic == RangeStatistic::kAbsMax)
      keys[i].magnitude = all.magnitude[0];
    else
      keys[i].low = all.low[0], keys[i].high = all.high[0];
  }
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
