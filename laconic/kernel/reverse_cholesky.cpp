#include "laconic/kernel/reverse_cholesky.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <atomic>
#include <cmath>

#include "laconic/kernel/composed_columns.h"
#include "laconic/kernel/panels.h"
#include "laconic/kernel/parallel.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/reverse_cholesky.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include "laconic/kernel/panel_multiply-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

/// Solves x L^T = c for the 64 columns of c, in place; L is the diagonal block, [column][row].
template <typename T>
void solve_block(const T* HWY_RESTRICT diagonal, T* HWY_RESTRICT c) {
  const hn::CappedTag<T, 64 / sizeof(T)> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  for (int64_t j = 0; j < kRows; ++j) {
    const auto inverse = hn::Set(d, T(1) / diagonal[j * kRows + j]);
    for (int64_t row = 0; row < kRows; row += kLanes) {
      const auto x = hn::Mul(hn::Load(d, c + j * kRows + row), inverse);
      hn::Store(x, d, c + j * kRows + row);
      for (int64_t i = j + 1; i < kRows; ++i) {
        T* to = c + i * kRows + row;
        hn::Store(hn::NegMulAdd(x, hn::Set(d, diagonal[j * kRows + i]), hn::Load(d, to)), d, to);
      }
    }
  }
}

/// The Cholesky factor of the 64 x 64 block at c, in place; false when a pivot is not positive.
template <typename T>
bool factor_block(T* c) {
  for (int64_t j = 0; j < kRows; ++j) {
    const T pivot = c[j * kRows + j];
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    const T root = std::sqrt(pivot);
    for (int64_t row = j; row < kRows; ++row) c[j * kRows + row] /= root;
    for (int64_t i = j + 1; i < kRows; ++i) {
      const T factor = c[j * kRows + i];
      for (int64_t row = i; row < kRows; ++row) c[i * kRows + row] -= factor * c[j * kRows + row];
    }
  }
  return true;
}

/// Columns [block * 64, block * 64 + 64) of one panel: takes away what the columns before explain.
template <typename T>
void reduce_panel(T* panels, int64_t size, int64_t block, int64_t panel) {
  T* target = panels + panel * size * kRows;
  const T* rows = panels + block * size * kRows;
  multiply_panel<true>(kRows, target, rows, kRows, block * kRows, target + block * kRows * kRows);
}

bool factor_diagonal_float(float* panels, int64_t size, int64_t block) {
  reduce_panel(panels, size, block, block);
  return factor_block(panels + (block * size + block * kRows) * kRows);
}
bool factor_diagonal_double(double* panels, int64_t size, int64_t block) {
  reduce_panel(panels, size, block, block);
  return factor_block(panels + (block * size + block * kRows) * kRows);
}
void factor_panel_float(float* panels, int64_t size, int64_t block, int64_t panel) {
  reduce_panel(panels, size, block, panel);
  solve_block(panels + (block * size + block * kRows) * kRows,
              panels + (panel * size + block * kRows) * kRows);
}
void factor_panel_double(double* panels, int64_t size, int64_t block, int64_t panel) {
  reduce_panel(panels, size, block, panel);
  solve_block(panels + (block * size + block * kRows) * kRows,
              panels + (panel * size + block * kRows) * kRows);
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(factor_diagonal_float);
HWY_EXPORT(factor_diagonal_double);
HWY_EXPORT(factor_panel_float);
HWY_EXPORT(factor_panel_double);

bool factor_diagonal(float* panels, int64_t size, int64_t block) {
  return HWY_DYNAMIC_DISPATCH(factor_diagonal_float)(panels, size, block);
}
bool factor_diagonal(double* panels, int64_t size, int64_t block) {
  return HWY_DYNAMIC_DISPATCH(factor_diagonal_double)(panels, size, block);
}
void factor_panel(float* panels, int64_t size, int64_t block, int64_t panel) {
  HWY_DYNAMIC_DISPATCH(factor_panel_float)(panels, size, block, panel);
}
void factor_panel(double* panels, int64_t size, int64_t block, int64_t panel) {
  HWY_DYNAMIC_DISPATCH(factor_panel_double)(panels, size, block, panel);
}

/// The reversed matrix in panels; K is padded to whole panels by an identity.
template <typename T>
void fill_reversed(const at::Tensor& hessian, const at::Tensor& diagonal, const at::Tensor& order,
                   double unit, at::Tensor& panels) {
  const int64_t size = hessian.size(0), padded = panels.size(1);
  const float* source = hessian.const_data_ptr<float>();
  const int64_t* column = order.const_data_ptr<int64_t>();
  const double* damped = diagonal.const_data_ptr<double>();
  T* target = panels.mutable_data_ptr<T>();
  // Symmetric: a row of the source serves as a column, so reading runs along memory.
  parallel_for(0, padded, 64, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const float* row = c < size ? source + column[size - 1 - c] * size : nullptr;
      for (int64_t r = c / kPanelRows * kPanelRows; r < padded; ++r) {
        T value = r == c ? T(1) : T(0);
        if (r < size && c < size) {
          const int64_t from = column[size - 1 - r];
          value = r == c ? static_cast<T>(damped[from] * unit) : static_cast<T>(row[from] * unit);
        }
        target[(r / kPanelRows * padded + c) * kPanelRows + r % kPanelRows] = value;
      }
    }
  });
}

template <typename T>
bool factorize(at::Tensor& panels) {
  T* data = panels.mutable_data_ptr<T>();
  const int64_t padded = panels.size(1), blocks = panels.size(0);
  for (int64_t block = 0; block < blocks; ++block) {
    if (!factor_diagonal(data, padded, block)) return false;
    parallel_for(block + 1, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) factor_panel(data, padded, block, panel);
    });
  }
  return true;
}

template <typename T>
void fill_feedback(const ReverseCholesky& factor, int64_t begin, int64_t end,
                   at::Tensor& feedback) {
  const int64_t size = factor.size, padded = factor.panels.size(1), width = end - begin;
  const T* panels = factor.panels.const_data_ptr<T>();
  float* target = feedback.mutable_data_ptr<float>();
  const auto at = [&](int64_t r, int64_t c) {
    return panels[(r / kPanelRows * padded + c) * kPanelRows + r % kPanelRows];
  };
  parallel_for(0, end, 64, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      for (int64_t j = std::max(begin, i + 1); j < end; ++j) {
        const int64_t column = size - 1 - j;
        target[i * width + j - begin] =
            static_cast<float>(at(size - 1 - i, column) / at(column, column));
      }
    }
  });
}

}  // namespace

ReverseCholesky reverse_cholesky(const at::Tensor& hessian, const at::Tensor& diagonal,
                                 const at::Tensor& order, at::ScalarType dtype) {
  if (!hessian.is_cpu()) return composed::reverse_cholesky(hessian, diagonal, order, dtype);
  const int64_t size = hessian.size(0), blocks = (size + kPanelRows - 1) / kPanelRows;
  at::Tensor panels =
      at::empty({blocks, blocks * kPanelRows, kPanelRows}, hessian.options().dtype(dtype));
  // R_ij / R_jj does not see the Hessian's magnitude: around one, nothing over- or underflows.
  const double unit = 1 / diagonal.mean().item<double>();
  bool holds = false;
  if (dtype == at::kDouble) {
    fill_reversed<double>(hessian, diagonal, order, unit, panels);
    holds = factorize<double>(panels);
  } else {
    fill_reversed<float>(hessian, diagonal, order, unit, panels);
    holds = factorize<float>(panels);
  }
  return {holds ? panels : at::Tensor(), size, unit};
}

at::Tensor feedback_columns(const ReverseCholesky& factor, int64_t begin, int64_t end) {
  if (!factor.panels.is_cpu()) return composed::feedback_columns(factor, begin, end);
  at::Tensor feedback = at::zeros({end, end - begin}, factor.panels.options().dtype(at::kFloat));
  if (factor.panels.scalar_type() == at::kDouble) {
    fill_feedback<double>(factor, begin, end, feedback);
  } else {
    fill_feedback<float>(factor, begin, end, feedback);
  }
  return feedback;
}

at::Tensor squared_pivots(const ReverseCholesky& factor) {
  if (!factor.panels.is_cpu()) return composed::squared_pivots(factor);
  const int64_t size = factor.size, padded = factor.panels.size(1);
  const at::Tensor panels = factor.panels.to(at::kDouble);
  at::Tensor pivots = at::empty({size}, panels.options());
  const double* from = panels.const_data_ptr<double>();
  double* to = pivots.mutable_data_ptr<double>();
  for (int64_t j = 0; j < size; ++j) {
    const int64_t c = size - 1 - j;
    const double pivot = from[(c / kPanelRows * padded + c) * kPanelRows + c % kPanelRows];
    to[j] = pivot * pivot / factor.unit;
  }
  return pivots;
}

}  // namespace laconic::kernel
#endif
