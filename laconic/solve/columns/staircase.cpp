#include "laconic/solve/columns/staircase.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "laconic/quant/quantizer/format_choice.h"
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

namespace {

/// The staircases of several formats as rows of as many levels.
kernel::Staircase side_by_side(const std::vector<Format>& formats) {
  std::vector<kernel::Staircase> all;
  int64_t most = 0;
  for (const Format& format : formats)
    most = std::max(most, all.emplace_back(staircase(format)).levels.size(0));
  kernel::Staircase rows;
  const auto whole = at::TensorOptions(at::kInt);
  const auto tables = static_cast<int64_t>(all.size());
  rows.levels = at::empty({tables, most});
  rows.thresholds = at::full({tables, most - 1}, std::numeric_limits<float>::infinity());
  rows.codes = at::empty({tables, most}, whole);
  for (int64_t i = 0; i < tables; ++i) {
    const auto& [levels, thresholds, codes] = all[static_cast<size_t>(i)];
    const int64_t count = levels.size(0);
    rows.levels[i].fill_(levels[count - 1]).narrow(0, 0, count).copy_(levels);
    rows.thresholds[i].narrow(0, 0, count - 1).copy_(thresholds);
    rows.codes[i].fill_(codes[count - 1]).narrow(0, 0, count).copy_(codes);
  }
  return rows;
}

}  // namespace

kernel::Staircase staircase(const Format& format) {
  if (std::holds_alternative<IntFormat>(format)) return {};
  if (std::holds_alternative<ChoiceFormat>(format))
    return side_by_side(choice_of(QuantSpec{}.let(format)).formats);
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
