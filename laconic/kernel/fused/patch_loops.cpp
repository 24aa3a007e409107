#include "laconic/kernel/fused/patch_loops.h"

#include <algorithm>

#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/fused/patch_loops.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/cache_control.h>

#include "laconic/kernel/fused/batch-inl.h"
#include "laconic/kernel/fused/elements-inl.h"
#include "laconic/kernel/fused/extremes-inl.h"
#include "laconic/kernel/fused/kinds-inl.h"
#include "laconic/kernel/fused/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

/// The keys of columns, and of their scales the numbers.
struct Columns {
  HWY_ALIGN int32_t low[kPatchColumns], high[kPatchColumns], magnitude[kPatchColumns];
  HWY_ALIGN float scale[kPatchColumns], inverse[kPatchColumns], zero_point[kPatchColumns];
};

/// The first element of a patch.
template <typename T>
HWY_INLINE T* start_of(T* from, const ScaleRuns& runs, const Patch& patch) {
  return from + patch.first_row * runs.length + patch.first_column;
}

/// Keys of kRows rows into those of the columns.
template <class Key, class Choose, int64_t kRows, typename T>
HWY_INLINE void add_rows(const T* HWY_RESTRICT x, int64_t length, int64_t columns,
                         int32_t* HWY_RESTRICT keys) {
  const Keys d;
  const Wide floats;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  if constexpr (hn::MaxLanes(d) > 1) {
    for (; i + lanes <= columns; i += lanes) {
      auto found = hn::Load(d, keys + i);
      for (int64_t row = 0; row < kRows; ++row)
        found = Choose::of(found, Key::key(d, hn::BitCast(d, load(floats, x + row * length + i))));
      hn::Store(found, d, keys + i);
    }
  }
  for (; i < columns; ++i)
    for (int64_t row = 0; row < kRows; ++row)
      keys[i] = Choose::of(keys[i], Key::key(float_bits(x[row * length + i])));
}

template <class Key, class Choose, typename T>
HWY_INLINE void keys_of_columns(const FusedJob& job, const Patch& patch, int32_t* keys) {
  constexpr int64_t kRows = 4;
  const int64_t length = job.runs.length;
  const T* x = start_of(static_cast<const T*>(job.x), job.runs, patch);
  std::fill_n(keys, patch.columns, Choose::template kOfNone<int32_t>);
  int64_t row = 0;
  for (; row + kRows <= patch.rows; row += kRows)
    add_rows<Key, Choose, kRows>(x + row * length, length, patch.columns, keys);
  for (; row < patch.rows; ++row)
    add_rows<Key, Choose, 1>(x + row * length, length, patch.columns, keys);
}

template <typename T>
HWY_INLINE void find_columns(const FusedJob& job, const Patch& patch, Columns& columns) {
  if (job.rule.statistic == RangeStatistic::kAbsMax)
    return keys_of_columns<Magnitude, Largest, T>(job, patch, columns.magnitude);
  keys_of_columns<Order, Smallest, T>(job, patch, columns.low);
  keys_of_columns<Order, Largest, T>(job, patch, columns.high);
}

template <class Choose>
HWY_INLINE int32_t key_of_scale(const int32_t* keys, const ColumnsOfScales& of, int64_t i) {
  int32_t key = keys[of.begin(i)];
  for (int64_t column = of.begin(i) + 1; column < of.end(i); ++column)
    key = Choose::of(key, keys[column]);
  return key;
}

/// Keys of scale `scale`, the i-th of `of`, from those of its columns.
HWY_INLINE RangeKeys keys_of_scale(const FusedJob& job, const Columns& columns,
                                   const ColumnsOfScales& of, int64_t i, int64_t scale) {
  RangeKeys keys;
  if (job.rule.statistic == RangeStatistic::kAbsMax) {
    keys.magnitude = key_of_scale<Largest>(columns.magnitude, of, i);
  } else {
    keys.low = key_of_scale<Smallest>(columns.low, of, i);
    keys.high = key_of_scale<Largest>(columns.high, of, i);
  }
  if (job.runs.is_short(scale)) keys.add_zero();
  return keys;
}

/// The slower of two ways, which does for both.
HWY_INLINE DivideBy slower(DivideBy a, DivideBy b) {
  for (const DivideBy way : {DivideBy::kDivision, DivideBy::kQuick})
    if (a == way || b == way) return way;
  return DivideBy::kPower;
}

/// Numbers of columns; `find(first, count, all)` finds those of some scales of the patch.
/// @returns how to divide by all of them.
template <bool kZero, class Find>
HWY_INLINE DivideBy spread_numbers(const FusedJob& job, const Patch& patch, Columns& columns,
                                   const Find& find) {
  HWY_ALIGN Together all = {};
  const int64_t scales = ColumnsOfScales(job.runs, patch).count();
  DivideBy by = DivideBy::kPower;
  for (int64_t begin = 0; begin < scales; begin += kRunsTogether) {
    const int64_t count = std::min(kRunsTogether, scales - begin);
    const ColumnsOfScales of(job.runs, patch, begin);
    find(of, patch.first_scale + begin, count, all);
    by = slower(by, prepare_division(all, count));
    spread(all.scale, of, count, columns.scale);
    spread(all.inverse, of, count, columns.inverse);
    if constexpr (kZero) spread(all.zero_point, of, count, columns.zero_point);
  }
  return by;
}

/// The numbers of a vector of columns.
template <class O, bool kZero, class D>
HWY_INLINE RunScale<O> scale_at(D d, const Columns& columns, int64_t i) {
  const auto scale = hn::LoadU(d, columns.scale + i);
  const auto zero_point = kZero ? hn::LoadU(d, columns.zero_point + i) : hn::Zero(d);
  return {scale, zero_point, {scale, hn::LoadU(d, columns.inverse + i), false}};
}

template <class O, GridKind kGrid, bool kZero, StoreAs kAs, typename T>
HWY_INLINE void quantize_row(const Run<T>& row, const Columns& columns, const ElementGrid& grid) {
  using Single = VectorOps<One>;
  const Wide d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const Grid wide = grid_numbers<VectorOps<Wide>>(grid);
  int64_t i = 0;
  if constexpr (hn::MaxLanes(d) > 1) {
    for (; i + lanes <= row.count; i += lanes) {
      const auto scale = scale_at<O, kZero>(d, columns, i);
      const auto element = element_of<O, kGrid, kZero>(load(d, row.x + i), scale, wide);
      store<kAs>(d, value_of<O, kZero>(element, scale), row.y + i, row.streams);
    }
  }
  const GridOf<Single> narrow = grid_numbers<Single>(grid);
  for (; i < row.count; ++i) {
    const auto scale = scale_at<Single, kZero>(One(), columns, i);
    const auto element = element_of<Single, kGrid, kZero>(load(One(), row.x + i), scale, narrow);
    store(One(), value_of<Single, kZero>(element, scale), row.y + i, false);
  }
}

/// Whether rows of the patch are whole lines of the cache, so that values may go past it.
template <typename T>
HWY_INLINE bool streams_rows(const FusedJob& job, const Patch& patch) {
  constexpr int64_t kLine = 64 / sizeof(T);
  return job.streams && patch.columns % kLine == 0 && patch.first_column % kLine == 0 &&
         job.runs.length % kLine == 0 && reinterpret_cast<uintptr_t>(job.value) % 64 == 0;
}

template <GridKind kGrid, bool kZero, StoreAs kAs, typename T>
HWY_INLINE void quantize_rows(const FusedJob& job, const Patch& patch, const Columns& columns,
                              DivideBy by) {
  const Run<T> first{start_of(static_cast<const T*>(job.x), job.runs, patch),
                     start_of(static_cast<T*>(job.value), job.runs, patch), patch.columns, 0,
                     streams_rows<T>(job, patch)};
  for_division<T, kGrid, kZero, kAs>(job.grid, by, [&]<class O, StoreAs kStore>() HWY_ATTR {
    Run<T> row = first;
    for (int64_t i = 0; i < patch.rows; ++i, row.x += job.runs.length, row.y += job.runs.length)
      quantize_row<O, kGrid, kZero, kStore>(row, columns, job.grid);
  });
  if (first.streams) hwy::FlushStream();
}

template <typename T, GridKind kGrid, bool kZero>
bool found_patch(const FusedJob& job, const Patch& patch) {
  HWY_ALIGN Columns columns;
  find_columns<T>(job, patch, columns);
  bool is_finite = true;
  const auto find = [&](const ColumnsOfScales& of, int64_t scale, int64_t count, Together& all) {
    for (int64_t i = 0; i < count; ++i) {
      const RangeKeys keys = keys_of_scale(job, columns, of, i, scale + i);
      all.low[i] = keys.low, all.high[i] = keys.high, all.magnitude[i] = keys.magnitude;
    }
    is_finite = numbers_together(job, all, count) && is_finite;
    if (job.numbers.scale != nullptr) std::copy_n(all.scale, count, job.numbers.scale + scale);
    if (job.numbers.zero_point != nullptr)
      std::copy_n(all.zero_point, count, job.numbers.zero_point + scale);
  };
  const DivideBy by = spread_numbers<kZero>(job, patch, columns, find);
  if (job.value != nullptr)
    quantize_rows<kGrid, kZero, StoreAs::kFinite, T>(job, patch, columns, by);
  return is_finite;
}

template <typename T, GridKind kGrid, bool kZero>
void given_patch(const FusedJob& job, const Patch& patch) {
  HWY_ALIGN Columns columns;
  const auto find = [&](const ColumnsOfScales&, int64_t scale, int64_t count, Together& all) {
    std::copy_n(job.numbers.scale + scale, count, all.scale);
    if constexpr (kZero) std::copy_n(job.numbers.zero_point + scale, count, all.zero_point);
  };
  const DivideBy by = spread_numbers<kZero>(job, patch, columns, find);
  if (job.is_finite)
    quantize_rows<kGrid, kZero, StoreAs::kFinite, T>(job, patch, columns, by);
  else
    quantize_rows<kGrid, kZero, StoreAs::kAny, T>(job, patch, columns, by);
}

bool any_found_patch(const FusedJob& job, const Patch& patch) {
  return for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    return found_patch<T, kGrid, kZero>(job, patch);
  });
}

void any_given_patch(const FusedJob& job, const Patch& patch) {
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    given_patch<T, kGrid, kZero>(job, patch);
  });
}

void any_patch_keys(const FusedJob& job, const Patch& patch, RangeKeys* keys) {
  HWY_ALIGN Columns columns;
  job.type == ElementType::kFloat ? find_columns<float>(job, patch, columns)
                                  : find_columns<uint16_t>(job, patch, columns);
  const ColumnsOfScales of(job.runs, patch);
  for (int64_t i = 0; i < of.count(); ++i)
    keys[i] = keys_of_scale(job, columns, of, i, patch.first_scale + i);
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(any_found_patch);
HWY_EXPORT(any_given_patch);
HWY_EXPORT(any_patch_keys);

}  // namespace

bool quantize_found_patch(const FusedJob& job, const Patch& patch) {
  return HWY_DYNAMIC_DISPATCH(any_found_patch)(job, patch);
}
void quantize_given_patch(const FusedJob& job, const Patch& patch) {
  HWY_DYNAMIC_DISPATCH(any_given_patch)(job, patch);
}
void find_patch_keys(const FusedJob& job, const Patch& patch, RangeKeys* keys) {
  HWY_DYNAMIC_DISPATCH(any_patch_keys)(job, patch, keys);
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
