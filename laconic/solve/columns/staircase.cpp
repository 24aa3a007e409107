#include "laconic/solve/columns/staircase.h"

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <variant>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic::columns {
namespace {

std::vector<float> finite_levels(const Format& format) {
  std::vector<float> levels;
  for (const double value : values(format)) {
    if (std::isfinite(value)) levels.push_back(static_cast<float>(value));
  }
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  return levels;
}

}  // namespace

kernel::Staircase staircase(const Format& format) {
  if (std::holds_alternative<IntFormat>(format)) return {};
  const QuantSpec spec{.format = format, .scale = ConstantScale{}};
  const QuantParameters one{at::scalar_tensor(1.0f), {}};
  const auto element = [&](const at::Tensor& x) {
    return dequantize(spec, quantize_codes(spec, x, one), one);
  };
  const at::Tensor levels = at::tensor(finite_levels(format));
  const int64_t steps = levels.size(0) - 1;
  const at::Tensor below = levels.narrow(0, 0, steps);
  // Between two levels: halves the stretch in which the step lies, until two neighbours are left.
  at::Tensor low = below, high = levels.narrow(0, 1, steps);
  for (int halving = 0; halving < 64; ++halving) {
    const at::Tensor middle = (low + high) * 0.5f;
    const at::Tensor falls = element(middle) == below;
    low = at::where(falls, middle, low);
    high = at::where(falls, high, middle);
  }
  return {levels, low.contiguous(), quantize_codes(spec, levels, one).to(at::kInt)};
}

}  // namespace laconic::columns
