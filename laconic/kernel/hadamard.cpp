#include "laconic/kernel/hadamard.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "laconic/kernel/parallel.h"

namespace laconic::kernel {
namespace {

// Runs no longer than this are butterflied while they lie in the first-level cache.
constexpr int64_t kTile = 4096;

/// Stages of distance 1, 2 and 4 of eight numbers at once.
void butterfly_eight(float* x) {
  float y[8];
  for (int i = 0; i < 8; i += 2) y[i] = x[i] + x[i + 1], y[i + 1] = x[i] - x[i + 1];
  float z[8];
  for (int i = 0; i < 8; i += 4)
    for (int j = i; j < i + 2; ++j) z[j] = y[j] + y[j + 2], z[j + 2] = y[j] - y[j + 2];
  for (int i = 0; i < 4; ++i) x[i] = z[i] + z[i + 4], x[i + 4] = z[i] - z[i + 4];
}

/// One stage of distance `step` over [0, n).
void butterfly(float* __restrict x, int64_t n, int64_t step) {
  for (int64_t start = 0; start < n; start += 2 * step) {
    float* __restrict low = x + start;
    float* __restrict high = x + start + step;
    for (int64_t i = 0; i < step; ++i) {
      const float a = low[i], b = high[i];
      low[i] = a + b;
      high[i] = a - b;
    }
  }
}

/// Sylvester's matrix times the n numbers at x, n a power of two.
void transform_run(float* x, int64_t n) {
  if (n < 8) {
    for (int64_t step = 1; step < n; step *= 2) butterfly(x, n, step);
    return;
  }
  const int64_t tile = std::min(n, kTile);
  for (int64_t start = 0; start < n; start += tile) {
    for (int64_t i = 0; i < tile; i += 8) butterfly_eight(x + start + i);
    for (int64_t step = 8; step < tile; step *= 2) butterfly(x + start, tile, step);
  }
  for (int64_t step = tile; step < n; step *= 2) butterfly(x, n, step);
}

/// [..., power] -> the same shape, scaled.
at::Tensor transform_fast(const at::Tensor& x, int64_t power, float factor) {
  const auto from = x.contiguous();
  auto result = at::empty_like(from);
  const float* source = from.const_data_ptr<float>();
  float* target = result.mutable_data_ptr<float>();
  const int64_t runs = from.numel() / power;
  parallel_for(0, runs, std::max<int64_t>(1, 32768 / power), [&](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      float* out = target + run * power;
      for (int64_t i = 0; i < power; ++i) out[i] = source[run * power + i] * factor;
      transform_run(out, power);
    }
  });
  return result;
}

/// The same by whole tensors: any device, any dtype, with gradients.
at::Tensor transform_composed(const at::Tensor& x, int64_t power, double factor) {
  auto y = x * factor;
  for (int64_t step = 1; step < power; step *= 2) {
    const auto pairs = y.unflatten(-1, {power / (2 * step), 2, step});
    const auto a = pairs.select(-2, 0), b = pairs.select(-2, 1);
    y = at::stack({a + b, a - b}, -2).flatten(-3);
  }
  return y;
}

at::Tensor transform(const at::Tensor& x, int64_t power, double factor) {
  const bool needs_gradient = at::GradMode::is_enabled() && x.requires_grad();
  const bool is_fast = x.is_cpu() && x.scalar_type() == at::kFloat && !needs_gradient;
  return is_fast ? transform_fast(x, power, static_cast<float>(factor))
                 : transform_composed(x, power, factor);
}

HadamardOrder checked_order(int64_t size) {
  const auto order = hadamard_order(size);
  TORCH_CHECK_VALUE(order, "[hadamard] no Hadamard matrix of order ", size,
                    " is known here: expected a power of two, or one of 12, 20, 28, 36, 40, 52, "
                    "60, 108, 140, 152, 156, 172 times a power of two. Choose a block_size that "
                    "is one.");
  return *order;
}

}  // namespace

at::Tensor hadamard(const at::Tensor& x, int64_t size) {
  const HadamardOrder order = checked_order(size);
  TORCH_CHECK_VALUE(x.dim() > 0 && x.size(-1) % size == 0,
                    "[hadamard] x: expected a last dimension that ", size, " divides, got ",
                    x.sizes(), ".");
  TORCH_CHECK_TYPE(at::isFloatingType(x.scalar_type()), "[hadamard] x: expected a floating dtype, ",
                   "got ", x.scalar_type(), ".");
  const int64_t blocks = x.size(-1) / size;
  const double factor = 1.0 / std::sqrt(static_cast<double>(size));
  const auto parts = x.unflatten(-1, {blocks, order.base, order.power});
  const auto turned = transform(parts, order.power, factor);
  if (order.base == 1) return turned.flatten(-3);
  const auto base = hadamard_base(order.base).to(x.device(), x.scalar_type());
  return at::matmul(base, turned).flatten(-3);
}

at::Tensor hadamard_matrix(int64_t size) {
  const HadamardOrder order = checked_order(size);
  auto power = at::eye(1, at::kFloat);
  while (power.size(0) < order.power)
    power = at::cat({at::cat({power, power}, 1), at::cat({power, power.neg()}, 1)}, 0);
  if (order.base == 1) return power / std::sqrt(static_cast<double>(size));
  const auto base = hadamard_base(order.base);
  const auto whole = base.unsqueeze(1).unsqueeze(3) * power.unsqueeze(0).unsqueeze(2);
  return whole.reshape({size, size}) / std::sqrt(static_cast<double>(size));
}

}  // namespace laconic::kernel
