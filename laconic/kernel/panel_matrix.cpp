#include "laconic/kernel/panel_matrix.h"

#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "laconic/kernel/composed_columns.h"
#include "laconic/kernel/panels.h"
#include "laconic/kernel/parallel.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/panel_matrix.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include "laconic/kernel/panel_multiply-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

/// target[j] += sum_{k < depth} matrix[k][j] * panel[k] for the columns of one block.
void multiply_block(const float* panel, const float* matrix, int64_t width, int64_t depth,
                    float* target) {
  multiply_panel<false>(width, panel, matrix, width, depth, target);
}

/// The columns [begin, begin + width) of X, when those before are solved.
/// @param strict  [begin + width, width]: N of these columns.
void solve_block_columns(float* panel, const float* strict, int64_t begin, int64_t width) {
  constexpr int64_t kTogether = 24;
  float* block = panel + begin * kRows;
  multiply_panel<true>(width, panel, strict, width, begin, block);
  const float* inner = strict + begin * width;
  const hn::CappedTag<float, 16> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  for (int64_t first = 0; first < width; first += kTogether) {
    const int64_t last = HWY_MIN(first + kTogether, width);
    multiply_panel<true>(last - first, block, inner + first, width, first, block + first * kRows);
    for (int64_t j = first; j < last; ++j) {
      for (int64_t i = j + 1; i < last; ++i) {
        const auto factor = hn::Set(d, inner[j * width + i]);
        for (int64_t row = 0; row < kRows; row += kLanes) {
          float* to = block + i * kRows + row;
          hn::Store(hn::NegMulAdd(hn::Load(d, block + j * kRows + row), factor, hn::Load(d, to)), d,
                    to);
        }
      }
    }
  }
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(multiply_block);
HWY_EXPORT(solve_block_columns);

constexpr int64_t kBlock = 96;  // columns at once: their factors stay in cache for all panels

/// Rows [0, depth) of the columns [begin, begin + width), contiguous.
at::Tensor block_of(const at::Tensor& matrix, int64_t depth, int64_t begin, int64_t width) {
  return matrix.narrow(0, 0, depth).narrow(1, begin, width).contiguous();
}

}  // namespace

at::Tensor multiply_panels(const at::Tensor& panels, const at::Tensor& matrix, bool upper) {
  if (!panels.is_cpu()) return composed::multiply_panels(panels, matrix);
  const int64_t columns = panels.size(1);
  at::Tensor product = at::zeros_like(panels);
  const float* from = panels.const_data_ptr<float>();
  float* to = product.mutable_data_ptr<float>();
  for (int64_t begin = 0; begin < columns; begin += kBlock) {
    const int64_t width = std::min(kBlock, columns - begin);
    const int64_t depth = upper ? begin + width : columns;
    const at::Tensor block = block_of(matrix, depth, begin, width);
    const float* factors = block.const_data_ptr<float>();
    parallel_for(0, panels.size(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t panel = first; panel < last; ++panel) {
        const int64_t offset = panel * columns * kPanelRows;
        HWY_DYNAMIC_DISPATCH(multiply_block)
        (from + offset, factors, width, depth, to + offset + begin * kPanelRows);
      }
    });
  }
  return product;
}

void solve_panels(at::Tensor& panels, const at::Tensor& strict) {
  if (!panels.is_cpu()) return composed::solve_panels(panels, strict);
  const int64_t columns = panels.size(1);
  float* data = panels.mutable_data_ptr<float>();
  for (int64_t begin = 0; begin < columns; begin += kBlock) {
    const int64_t width = std::min(kBlock, columns - begin);
    const at::Tensor block = block_of(strict, begin + width, begin, width);
    const float* factors = block.const_data_ptr<float>();
    parallel_for(0, panels.size(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t panel = first; panel < last; ++panel) {
        HWY_DYNAMIC_DISPATCH(solve_block_columns)
        (data + panel * columns * kPanelRows, factors, begin, width);
      }
    });
  }
}

}  // namespace laconic::kernel
#endif
