#include <algorithm>

#include "laconic/kernel/fused/patch_loops.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/fused/patch_gradients.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/highway.h>

#include "laconic/kernel/fused/elements-inl.h"
#include "laconic/kernel/fused/kinds-inl.h"
#include "laconic/kernel/fused/shares-inl.h"
#include "laconic/kernel/fused/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

/// The numbers of each column's scale.
struct ColumnScales {
  HWY_ALIGN float scale[kPatchColumns], inverse[kPatchColumns], zero_point[kPatchColumns];
  HWY_ALIGN float low[kPatchColumns], high[kPatchColumns];
  HWY_ALIGN float low_share[kPatchColumns], high_share[kPatchColumns];
  bool is_quick;  ///< all of them can be divided by so
};

/// What the elements of each column add up to; few enough of them for sums in float.
struct ColumnSums {
  HWY_ALIGN float scale[kPatchColumns] = {}, zero_point[kPatchColumns] = {};
  HWY_ALIGN float low[kPatchColumns] = {}, high[kPatchColumns] = {};
};

void read_scales(const BackwardJob& job, const Patch& patch, ColumnScales& columns) {
  const ColumnsOfScales of(job.runs, patch);
  const auto read = [&](const float* numbers, float* to) {
    if (numbers != nullptr) spread(numbers + patch.first_scale, of, of.count(), to);
  };
  read(job.scale, columns.scale);
  read(job.zero_point, columns.zero_point);
  read(job.low, columns.low);
  read(job.high, columns.high);
  read(job.low_share, columns.low_share);
  read(job.high_share, columns.high_share);
  columns.is_quick = HWY_NATIVE_FMA;
  for (int64_t i = 0; i < patch.columns; ++i) {
    const float scale = columns.scale[i];
    columns.inverse[i] = 1.0F / scale;
    columns.is_quick = columns.is_quick && scale > kSmallestQuick && scale < kLargestQuick;
  }
}

/// Walks through the rows of a patch in vectors and single columns: `body(d, x, gradient, i)` with
/// pointers to the elements of row and column i.
template <typename T, class Body>
HWY_INLINE void for_columns(const BackwardJob& job, const Patch& patch, const Body& body) {
  const Wide d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t start = patch.first_row * job.runs.length + patch.first_column;
  for (int64_t row = 0; row < patch.rows; ++row) {
    const int64_t first = start + row * job.runs.length;
    int64_t i = 0;
    for (; i + lanes <= patch.columns; i += lanes) body(d, first + i, i);
    for (; i < patch.columns; ++i) body(One(), first + i, i);
  }
}

/// Gradients of the elements from `at` on, in the columns from `i` on.
template <GridKind kGrid, bool kZero, typename T, class D>
HWY_INLINE auto gradient_at(D d, const BackwardJob& job, const ColumnScales& columns, int64_t at,
                            int64_t i) {
  using O = VectorOps<D>;
  const auto scale = hn::LoadU(d, columns.scale + i);
  const auto zero_point = kZero ? hn::LoadU(d, columns.zero_point + i) : hn::Zero(d);
  const RunScale<O> run{
      scale, zero_point, {scale, hn::LoadU(d, columns.inverse + i), columns.is_quick}};
  return gradient_of<O, kGrid, kZero>(load(d, static_cast<const T*>(job.x) + at),
                                      load(d, static_cast<const T*>(job.gradient) + at), run,
                                      grid_numbers<O>(job.grid), job.is_clipped);
}

template <class D>
HWY_INLINE void add_to(D d, float* sum, hn::Vec<D> x) {
  hn::StoreU(hn::Add(hn::LoadU(d, sum), x), d, sum);
}

template <typename T, GridKind kGrid, bool kZero>
void sum_columns(const BackwardJob& job, const Patch& patch, const ColumnScales& columns,
                 ColumnSums& sums) {
  for_columns<T>(job, patch, [&](auto d, int64_t at, int64_t i) HWY_ATTR {
    const auto parts = gradient_at<kGrid, kZero, T>(d, job, columns, at, i);
    add_to(d, sums.scale + i, parts.scale);
    if constexpr (kZero) add_to(d, sums.zero_point + i, parts.zero_point);
    if (job.high == nullptr) return;
    const auto element = load(d, static_cast<const T*>(job.x) + at);
    const auto size = job.of_magnitude ? hn::Abs(element) : element;
    const auto one = hn::Set(d, 1);
    const auto is_high = hn::Eq(size, hn::LoadU(d, columns.high + i));
    add_to(d, sums.high + i, hn::IfThenElseZero(is_high, one));
    if (job.low == nullptr) return;
    const auto is_low = hn::Eq(element, hn::LoadU(d, columns.low + i));
    add_to(d, sums.low + i, hn::IfThenElseZero(is_low, one));
  });
}

template <typename T, GridKind kGrid, bool kZero>
void sum_patch(const BackwardJob& job, const Patch& patch, GradientSums* to) {
  HWY_ALIGN ColumnScales columns;
  HWY_ALIGN ColumnSums sums;
  read_scales(job, patch, columns);
  sum_columns<T, kGrid, kZero>(job, patch, columns, sums);
  const ColumnsOfScales of(job.runs, patch);
  for (int64_t scale = 0; scale < of.count(); ++scale) {
    to[scale] = {};
    for (int64_t i = of.begin(scale); i < of.end(scale); ++i)
      to[scale].add({sums.scale[i], sums.zero_point[i], static_cast<int64_t>(sums.low[i]),
                     static_cast<int64_t>(sums.high[i])});
  }
}

template <typename T, GridKind kGrid, bool kZero>
void write_patch(const BackwardJob& job, const Patch& patch) {
  HWY_ALIGN ColumnScales columns;
  read_scales(job, patch, columns);
  for_columns<T>(job, patch, [&](auto d, int64_t at, int64_t i) HWY_ATTR {
    const auto own = gradient_at<kGrid, kZero, T>(d, job, columns, at, i).input;
    const Extremes<decltype(d)> extremes{
        hn::LoadU(d, columns.low + i), hn::LoadU(d, columns.high + i),
        hn::LoadU(d, columns.low_share + i), hn::LoadU(d, columns.high_share + i)};
    const auto x = load(d, static_cast<const T*>(job.x) + at);
    store(d, with_shares(d, job, extremes, x, own), static_cast<T*>(job.input_gradient) + at,
          false);
  });
}

void any_sum_patch(const BackwardJob& job, const Patch& patch, GradientSums* sums) {
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    sum_patch<T, kGrid, kZero>(job, patch, sums);
  });
}

void any_write_patch(const BackwardJob& job, const Patch& patch) {
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    write_patch<T, kGrid, kZero>(job, patch);
  });
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(any_sum_patch);
HWY_EXPORT(any_write_patch);

}  // namespace

void sum_patch_gradients(const BackwardJob& job, const Patch& patch, GradientSums* sums) {
  HWY_DYNAMIC_DISPATCH(any_sum_patch)(job, patch, sums);
}
void write_patch_gradients(const BackwardJob& job, const Patch& patch) {
  HWY_DYNAMIC_DISPATCH(any_write_patch)(job, patch);
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
