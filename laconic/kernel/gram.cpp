#include "laconic/kernel/gram.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "laconic/kernel/panels.h"
#include "laconic/kernel/parallel.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/gram.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include "laconic/kernel/panel_multiply-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

/// sum[j][r] += sum_k right[k][j] * left[k][r] for 64 columns j; a partial sum of its own keeps the
/// error small.
void add_block(const float* left, const float* right, int64_t depth, float* sum) {
  HWY_ALIGN float part[kRows * kRows] = {};
  multiply_panel<false>(kRows, left, right, kRows, depth, part);
  for (int64_t i = 0; i < kRows * kRows; ++i) sum[i] += part[i];
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(add_block);

constexpr int64_t kChunkRows =
    512;  // rows packed at once: 2 KiB a column, within L2 for two panels

/// Rows [first, first + count) of x as panels of columns: [P, count, 64], padded with zeros.
void pack_columns(const at::Tensor& x, int64_t first, int64_t count, float* packed) {
  const int64_t columns = x.size(1), panels = (columns + kPanelRows - 1) / kPanelRows;
  const float* source = x.const_data_ptr<float>() + first * columns;
  parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t width = std::min(kPanelRows, columns - panel * kPanelRows);
      float* target = packed + panel * count * kPanelRows;
      for (int64_t row = 0; row < count; ++row, target += kPanelRows) {
        std::copy_n(source + row * columns + panel * kPanelRows, width, target);
        std::fill(target + width, target + kPanelRows, 0.0f);
      }
    }
  });
}

at::Tensor empty_sums(int64_t columns, at::Device device) {
  const auto options = at::TensorOptions(at::kFloat).device(device);
  if (!device.is_cpu()) return at::zeros({columns, columns}, options);
  const int64_t panels = (columns + kPanelRows - 1) / kPanelRows;
  return at::zeros({panels, panels * kPanelRows, kPanelRows}, options);
}

/// X^T X of a matrix of many columns to the sums, strip by strip of columns, each from its diagonal
/// on down.
void add_lower(const at::Tensor& x, at::Tensor& sums) {
  constexpr int64_t kStrip = 2048;
  const int64_t columns = x.size(1);
  for (int64_t begin = 0; begin < columns; begin += kStrip) {
    const int64_t width = std::min(kStrip, columns - begin);
    const at::Tensor below = x.narrow(1, begin, columns - begin);
    at::Tensor part = sums.narrow(0, begin, columns - begin).narrow(1, begin, width);
    part.addmm_(below.t(), x.narrow(1, begin, width));
  }
}

int64_t summed(int64_t rows, const SumOverAll& sum_over_all) {
  at::Tensor count = at::empty({1}, at::kLong).fill_(rows);
  sum_over_all(count);
  return count.item<int64_t>();
}

}  // namespace

GramSum::GramSum(int64_t columns, at::Device device)
    : columns_(columns), panels_(empty_sums(columns, device)) {}

void GramSum::add(const at::Tensor& input) {
  if (!panels_.is_cpu()) {
    add_lower(input, panels_);
    rows_ += input.size(0);
    return;
  }
  const at::Tensor x = input.contiguous();
  const int64_t panels = panels_.size(0), padded = panels_.size(1);
  const at::Tensor packed =
      at::empty({panels, std::min(kChunkRows, x.size(0)), kPanelRows}, panels_.options());
  float* data = packed.mutable_data_ptr<float>();
  float* sums = panels_.mutable_data_ptr<float>();
  for (int64_t first = 0; first < x.size(0); first += kChunkRows) {
    const int64_t count = std::min(kChunkRows, x.size(0) - first);
    pack_columns(x, first, count, data);
    parallel_for(0, panels * (panels + 1) / 2, 1, [&](int64_t begin, int64_t end) {
      for (int64_t pair = begin; pair < end; ++pair) {
        auto p =
            static_cast<int64_t>((std::sqrt(8.0 * static_cast<double>(pair) + 1.0) - 1.0) / 2.0);
        while (p * (p + 1) / 2 > pair) --p;
        while ((p + 1) * (p + 2) / 2 <= pair) ++p;
        const int64_t q = pair - p * (p + 1) / 2, block = count * kPanelRows;
        HWY_DYNAMIC_DISPATCH(add_block)
        (data + p * block, data + q * block, count,
         sums + (p * padded + q * kPanelRows) * kPanelRows);
      }
    });
  }
  rows_ += x.size(0);
}

void GramSum::combine(const SumOverAll& sum_over_all) {
  sum_over_all(panels_);
  rows_ = summed(rows_, sum_over_all);
}

at::Tensor GramSum::mean() const {
  if (!panels_.is_cpu()) {
    const at::Tensor lower = panels_ * (1.0 / static_cast<double>(std::max<int64_t>(rows_, 1)));
    return lower.tril() + lower.tril(-1).t();
  }
  at::Tensor result = at::empty({columns_, columns_}, panels_.options());
  const int64_t padded = panels_.size(1);
  const float* sums = panels_.const_data_ptr<float>();
  float* target = result.mutable_data_ptr<float>();
  const double factor = rows_ > 0 ? 1.0 / static_cast<double>(rows_) : 0.0;
  parallel_for(0, columns_, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < columns_; ++j) {
        const int64_t r = std::max(i, j), c = std::min(i, j);
        const float sum = sums[(r / kPanelRows * padded + c) * kPanelRows + r % kPanelRows];
        target[i * columns_ + j] = static_cast<float>(sum * factor);
      }
    }
  });
  return result;
}

CrossSum::CrossSum(int64_t columns, at::Device device)
    : columns_(columns), panels_(empty_sums(columns, device)) {}

void CrossSum::add(const at::Tensor& a, const at::Tensor& b) {
  if (!panels_.is_cpu()) {
    panels_.addmm_(a.t(), b);
    rows_ += a.size(0);
    return;
  }
  const at::Tensor left = a.contiguous(), right = b.contiguous();
  const int64_t panels = panels_.size(0), padded = panels_.size(1);
  const int64_t chunk = std::min(kChunkRows, left.size(0));
  const at::Tensor packed = at::empty({2, panels, chunk, kPanelRows}, panels_.options());
  float* lefts = packed.mutable_data_ptr<float>();
  float* rights = lefts + panels * chunk * kPanelRows;
  float* sums = panels_.mutable_data_ptr<float>();
  for (int64_t first = 0; first < left.size(0); first += kChunkRows) {
    const int64_t count = std::min(kChunkRows, left.size(0) - first);
    pack_columns(left, first, count, lefts);
    pack_columns(right, first, count, rights);
    parallel_for(0, panels * panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t pair = begin; pair < end; ++pair) {
        const int64_t p = pair / panels, q = pair % panels, block = count * kPanelRows;
        HWY_DYNAMIC_DISPATCH(add_block)
        (lefts + p * block, rights + q * block, count,
         sums + (p * padded + q * kPanelRows) * kPanelRows);
      }
    });
  }
  rows_ += left.size(0);
}

void CrossSum::combine(const SumOverAll& sum_over_all) {
  sum_over_all(panels_);
  rows_ = summed(rows_, sum_over_all);
}

at::Tensor CrossSum::mean() const {
  const double factor = rows_ > 0 ? 1.0 / static_cast<double>(rows_) : 0.0;
  if (!panels_.is_cpu()) return panels_ * factor;
  return from_panels(panels_, columns_).narrow(1, 0, columns_).mul(factor).contiguous();
}

}  // namespace laconic::kernel
#endif
