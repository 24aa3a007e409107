// The register tile that the panel kernels share. Included once for each instruction set (see
// Highway's foreach_target.h), so the guard below is a toggle and not #pragma once.
#if defined(LACONIC_PANEL_MULTIPLY_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_PANEL_MULTIPLY_INL_H
#undef LACONIC_PANEL_MULTIPLY_INL_H
#else
#define LACONIC_PANEL_MULTIPLY_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr int64_t kRows = 64;  // of a panel
inline constexpr int64_t kTileColumns =
    6;  // with four vectors of rows: 24 accumulators of 32 registers
inline constexpr int64_t kDepthChunk = 128;  // 128 columns of a panel are 32 KiB: they stay in L1

/// c[j][r] ± sum_k b[k * stride + j] * a[k][r] for kColumns columns j and all 64 rows r; k ascends,
/// and each element has one accumulator, so that the result does not depend on how k is cut into
/// calls.
template <bool kSubtract, int kColumns, typename T>
HWY_INLINE void multiply_tile(const T* HWY_RESTRICT a, const T* HWY_RESTRICT b, int64_t stride,
                              int64_t depth, T* HWY_RESTRICT c) {
  const hn::CappedTag<T, 64 / sizeof(T)> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  constexpr int kVectors = sizeof(T) * kLanes >= 64 ? 4 : 2;
  for (int64_t row = 0; row < kRows; row += kVectors * kLanes) {
    hn::Vec<decltype(d)> sum[kColumns][kVectors];
    for (int j = 0; j < kColumns; ++j) {
      for (int v = 0; v < kVectors; ++v) sum[j][v] = hn::Load(d, c + j * kRows + row + v * kLanes);
    }
    for (int64_t k = 0; k < depth; ++k) {
      hn::Vec<decltype(d)> left[kVectors];
      for (int v = 0; v < kVectors; ++v) left[v] = hn::Load(d, a + k * kRows + row + v * kLanes);
      for (int j = 0; j < kColumns; ++j) {
        const auto right = hn::Set(d, b[k * stride + j]);
        for (int v = 0; v < kVectors; ++v) {
          sum[j][v] = kSubtract ? hn::NegMulAdd(left[v], right, sum[j][v])
                                : hn::MulAdd(left[v], right, sum[j][v]);
        }
      }
    }
    for (int j = 0; j < kColumns; ++j) {
      for (int v = 0; v < kVectors; ++v) hn::Store(sum[j][v], d, c + j * kRows + row + v * kLanes);
    }
  }
}

/// As multiply_tile, for 1 to 6 columns known at run time.
template <bool kSubtract, typename T>
HWY_INLINE void multiply_columns(int64_t columns, const T* a, const T* b, int64_t stride,
                                 int64_t depth, T* c) {
  switch (columns) {
    case 6:
      return multiply_tile<kSubtract, 6>(a, b, stride, depth, c);
    case 5:
      return multiply_tile<kSubtract, 5>(a, b, stride, depth, c);
    case 4:
      return multiply_tile<kSubtract, 4>(a, b, stride, depth, c);
    case 3:
      return multiply_tile<kSubtract, 3>(a, b, stride, depth, c);
    case 2:
      return multiply_tile<kSubtract, 2>(a, b, stride, depth, c);
    case 1:
      return multiply_tile<kSubtract, 1>(a, b, stride, depth, c);
  }
}

/// c[j][r] ± sum_{k < depth} b[k * stride + j] * a[k][r] for j < columns.
template <bool kSubtract, typename T>
HWY_INLINE void multiply_panel(int64_t columns, const T* a, const T* b, int64_t stride,
                               int64_t depth, T* c) {
  for (int64_t k = 0; k < depth; k += kDepthChunk) {
    const int64_t chunk = HWY_MIN(kDepthChunk, depth - k);
    for (int64_t j = 0; j < columns; j += kTileColumns) {
      multiply_columns<kSubtract>(HWY_MIN(kTileColumns, columns - j), a + k * kRows,
                                  b + k * stride + j, stride, chunk, c + j * kRows);
    }
  }
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
