#include "laconic/quant/quantizer/search.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/nanmedian.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/where.h>

#include <limits>

#include "laconic/base/assert.h"
#include "laconic/quant/quantizer/formula.h"
#include "laconic/quant/quantizer/fused.h"
#include "laconic/quant/quantizer/hierarchy.h"
#include "laconic/quant/statistic/statistic.h"

namespace laconic {
namespace {

bool asymmetric(const QuantSpec& spec) {
  return !std::holds_alternative<NoZeroPoint>(spec.zero_point);
}

// Where a search starts. An integer zero point needs zero in the range.
Statistic whole_range(const QuantSpec& spec) {
  if (!asymmetric(spec)) return AbsMax{};
  return MinMax{.include_zero = std::holds_alternative<IntegerZeroPoint>(spec.zero_point)};
}

StatisticScale statistic_scale(const QuantSpec& spec) {
  const auto scale = statistic_of(spec.scale);
  LACONIC_ASSERT(scale.has_value(), "a search without a statistic");
  return *scale;
}

at::Tensor squared_error(const QuantSpec& spec, const SearchProblem& problem,
                         const at::Tensor& scale, const at::Tensor& minimum) {
  const at::NoGradGuard no_gradient;  // of a choice among candidates
  const CodeBounds bounds = bounds_like(spec.format, problem.rows);
  const auto s = scale.unsqueeze(1);
  const auto zero_point = find_zero_point(spec, minimum.unsqueeze(1), s, problem.shape);
  if (auto fused = fused_squared_error(spec, problem.rows, problem.importance, {s, zero_point}))
    return *fused;
  const auto value =
      real_values(elements_of(problem.rows, s, zero_point, bounds, spec), s, zero_point);
  auto error = (value - problem.rows).square();
  if (problem.importance.defined()) error = error * problem.importance;
  return error.sum(1);
}

at::Tensor scale_at(const QuantSpec& spec, const SearchProblem& problem,
                    const at::Tensor& statistic) {
  const StatisticScale scale = statistic_scale(spec);
  const auto found =
      scale_of_statistic(scale, statistic, at::full_like(statistic, problem.threshold));
  return quantize_scales(spec, found, problem.shape);
}

// Keeps per row the candidate with the least loss; the first of equals wins.
template <typename Loss>
at::Tensor best_on_grid(const at::Tensor& left, const at::Tensor& right, int64_t points,
                        const Loss& loss) {
  at::Tensor best = left, best_loss = loss(left);
  for (int64_t i = 1; i < points; ++i) {
    const auto candidate =
        left + (right - left) * (static_cast<double>(i) / static_cast<double>(points - 1));
    const auto candidate_loss = loss(candidate);
    const auto better = candidate_loss.lt(best_loss);
    best = at::where(better, candidate, best);
    best_loss = at::where(better, candidate_loss, best_loss);
  }
  return best;
}

// The proximal step of |error|^p: small errors become 0.
at::Tensor shrunk(const at::Tensor& error, double p, double beta) {
  const auto size = error.abs();
  return error.sign() * (size - size.pow(p - 1) / beta).clamp_min(0);
}

}  // namespace

at::Tensor search_mse(const Mse& mse, const QuantSpec& spec, const SearchProblem& problem) {
  const Statistic start = whole_range(spec);
  const auto full =
      at_least(row_statistic(start, problem.rows, problem.rows), statistic_scale(spec).minimum);
  return best_on_grid(full / static_cast<double>(mse.grid_points), full, mse.grid_points,
                      [&](const at::Tensor& statistic) {
                        return squared_error(spec, problem, scale_at(spec, problem, statistic),
                                             problem.minimum);
                      });
}

at::Tensor search_minimum(const Mse& mse, const QuantSpec& spec, const SearchProblem& problem,
                          const at::Tensor& scale) {
  return best_on_grid(
      problem.minimum, problem.minimum / static_cast<double>(mse.grid_points), mse.grid_points,
      [&](const at::Tensor& minimum) { return squared_error(spec, problem, scale, minimum); });
}

at::Tensor search_half_quadratic(const HalfQuadratic& kind, const QuantSpec& spec,
                                 const SearchProblem& problem) {
  const Statistic start = whole_range(spec);
  const CodeBounds bounds = bounds_like(spec.format, problem.rows);
  const double minimum = statistic_scale(spec).minimum;
  at::Tensor statistic = at_least(row_statistic(start, problem.rows, problem.rows), minimum),
             best = statistic;
  double best_loss = std::numeric_limits<double>::infinity(), beta = kind.beta;
  for (int64_t i = 0; i < kind.iterations; ++i, beta *= kind.kappa) {
    const auto s = scale_at(spec, problem, statistic).unsqueeze(1);
    const auto zero_point = find_zero_point(spec, problem.minimum.unsqueeze(1), s, problem.shape);
    const auto codes = elements_of(problem.rows, s, zero_point, bounds, spec);
    const auto error = problem.rows - real_values(codes, s, zero_point);
    const double loss = error.abs().mean().item<double>();
    if (!(loss < best_loss)) break;
    best_loss = loss;
    best = statistic;
    // The scale that explains what shrinkage leaves: the median of its quotients.
    const auto target = problem.rows - shrunk(error, kind.p, beta);
    const auto whole = zero_point.defined() ? codes - zero_point : codes;
    const auto usable = whole.ne(0).logical_and(target.ne(0));
    const auto quotient = at::where(
        usable, target / whole, at::full_like(target, std::numeric_limits<double>::quiet_NaN()));
    const auto median = std::get<0>(at::nanmedian(quotient, 1, /*keepdim=*/false));
    const auto next = at_least(median, minimum) * problem.threshold;
    statistic = at::where(next.isfinite(), next, statistic);
  }
  return best;
}

at::Tensor search_minimum_half_quadratic(const HalfQuadratic& kind, const QuantSpec& spec,
                                         const SearchProblem& problem, const at::Tensor& scale) {
  const CodeBounds bounds = bounds_like(spec.format, problem.rows);
  const auto s = scale.unsqueeze(1);
  at::Tensor minimum = problem.minimum, best = minimum;
  double best_loss = std::numeric_limits<double>::infinity(), beta = kind.beta;
  for (int64_t i = 0; i < kind.iterations; ++i, beta *= kind.kappa) {
    const auto zero_point = find_zero_point(spec, minimum.unsqueeze(1), s, problem.shape);
    const auto codes = elements_of(problem.rows, s, zero_point, bounds, spec);
    const auto error = problem.rows - real_values(codes, s, zero_point);
    const double loss = error.abs().mean().item<double>();
    if (!(loss < best_loss)) break;
    best_loss = loss;
    best = minimum;
    // x is about s (q - z): the mean of x - s q is -s z, the minimum when the codes begin at 0.
    minimum = (problem.rows - shrunk(error, kind.p, beta) - codes * s).mean(1);
  }
  return best;
}

}  // namespace laconic
