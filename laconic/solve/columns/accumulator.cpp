#include "laconic/solve/columns/accumulator.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <variant>

#include "laconic/kernel/panels.h"

namespace laconic::columns {
namespace {

void check_fits(const char* solver, const LayerProblem& problem) {
  TORCH_CHECK_VALUE(
      problem.input && std::holds_alternative<IntFormat>(problem.input->format), "[", solver,
      "] layer ", problem.name,
      ": accumulator_bits bounds sums of integer products: expected an input quantizer with format "
      "int, got ",
      problem.input ? describe(problem.input->format) : "none",
      ". Give the rule an integer input.");
  TORCH_CHECK_VALUE(std::holds_alternative<IntFormat>(problem.spec.format) &&
                        std::holds_alternative<NoZeroPoint>(problem.spec.zero_point),
                    "[", solver, "] layer ", problem.name,
                    ": accumulator_bits bounds sums of integer products: expected a symmetric "
                    "integer weight, got ",
                    to_string(problem.spec), ".");
}

}  // namespace

at::Tensor projection_threshold(const at::Tensor& x, double radius) {
  const at::Tensor falling = std::get<0>(x.abs().sort(-1, /*descending=*/true));
  const at::Tensor count = at::arange(1, x.size(-1) + 1, x.options());
  const at::Tensor excess = falling.cumsum(-1) - radius;
  // As long as an element is above the mean excess of those up to it, it stays.
  const at::Tensor kept = (falling * count > excess).sum(-1, /*keepdim=*/true).clamp_min(1);
  const at::Tensor threshold = excess.gather(-1, kept - 1) / kept;
  return threshold.clamp_min(0).squeeze(-1);
}

kernel::TileBudget tile_budget(const char* solver, const LayerProblem& problem,
                               const Accumulator& accumulator, const at::Tensor& weight,
                               const ScaleTable& scales, const at::Tensor& order) {
  check_fits(solver, problem);
  const CodeRange input = code_range(problem.input->format);
  const int64_t columns = weight.size(1);
  const int64_t size = accumulator.tile > 0 ? std::min(accumulator.tile, columns) : columns;
  const int64_t tiles = (columns + size - 1) / size;
  const at::Tensor real = weight / scales.scale.index_select(1, scales.group);
  const auto tiled = [&](const at::Tensor& x) {
    return at::constant_pad_nd(x, {0, tiles * size - columns}).view({x.size(0), tiles, size});
  };
  const at::Tensor inside = tiled(at::ones({1, columns}, weight.options()));
  const at::Tensor codes = tiled(real);
  const at::Tensor mean = codes.sum(-1, true) / inside.sum(-1, true);
  const double low = static_cast<double>(std::min<int64_t>(input.q_min, 0));
  const double high = static_cast<double>(std::max<int64_t>(input.q_max, 1));
  const double span = std::exp2(static_cast<double>(accumulator.bits));
  kernel::TileBudget budget;
  budget.threshold =
      kernel::to_panels(projection_threshold((codes - mean) * inside, (span - 2) / (high - low)));
  budget.positive = at::zeros_like(budget.threshold);
  budget.negative = at::zeros_like(budget.threshold);
  const at::Tensor tile = at::arange(columns, weight.options().dtype(at::kLong)).floor_divide(size);
  budget.tile = order.defined() ? tile.index_select(0, order) : tile;
  budget.input_low = static_cast<float>(low);
  budget.input_high = static_cast<float>(high);
  // Sums of more than 24 bits are not exact in float32: a millionth stays unused then.
  const double limit = span / 2 - 1;
  budget.limit = static_cast<float>(accumulator.bits > 24 ? limit * (1 - 1e-6) : limit);
  return budget;
}

}  // namespace laconic::columns
