#include "laconic/quant/quantizer/search.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/nanmedian.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <limits>
#include <vector>

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

ScaleRule statistic_scale(const QuantSpec& spec) {
  const auto scale = statistic_of(spec.scale);
  LACONIC_ASSERT(scale.has_value(), "a search without a statistic");
  return *scale;
}

// Numbers of scales, [scales] or [candidates, scales], by a function of [scales].
template <typename Function>
at::Tensor by_candidate(const at::Tensor& numbers, const Function& function) {
  if (numbers.dim() == 1) return function(numbers);
  std::vector<at::Tensor> results;
  for (const at::Tensor& one : numbers.unbind()) results.push_back(function(one));
  return at::stack(results);
}

// @param scale, minimum  [scales] or [candidates, scales], alike
at::Tensor zero_point_at(const QuantSpec& spec, const SearchProblem& problem,
                         const at::Tensor& minimum, const at::Tensor& scale) {
  if (!asymmetric(spec)) return {};
  const auto kept = by_candidate(
      minimum, [&](const at::Tensor& one) { return quantize_minima(spec, one, problem.shape); });
  return zero_point_of_minimum(spec.zero_point, kept, scale, bounds_like(spec.format, scale),
                               {spec.rounding, spec.gradient});
}

// The values that the quantizer gives the rows, and their codes.
struct Quantized {
  at::Tensor elements, value, zero_point;
};
Quantized quantized_rows(const QuantSpec& spec, const SearchProblem& problem,
                         const QuantParameters& parameters) {
  const auto s = parameters.scale.unsqueeze(1);
  const auto z =
      parameters.zero_point.defined() ? parameters.zero_point.unsqueeze(1) : at::Tensor();
  const auto elements =
      elements_of(problem.rows, s, z, bounds_like(spec.format, problem.rows), spec);
  return {elements, real_values(elements, s, z), z};
}

// Of each candidate: [candidates, scales]. @param scale [candidates, scales]; minimum: broadcasts.
at::Tensor squared_error(const QuantSpec& spec, const SearchProblem& problem,
                         const at::Tensor& scale, const at::Tensor& minimum) {
  const at::NoGradGuard no_gradient;  // of a choice among candidates
  const auto zero_point = zero_point_at(spec, problem, minimum.expand_as(scale), scale);
  if (auto fused = fused_squared_error(spec, problem.rows, problem.importance, {scale, zero_point}))
    return *fused;
  std::vector<at::Tensor> errors;
  for (int64_t i = 0; i < scale.size(0); ++i) {
    const QuantParameters one{scale[i], zero_point.defined() ? zero_point[i] : zero_point};
    auto error = (quantized_rows(spec, problem, one).value - problem.rows).square();
    if (problem.importance.defined()) error = error * problem.importance;
    errors.push_back(error.sum(1));
  }
  return at::stack(errors);
}

at::Tensor scale_at(const QuantSpec& spec, const SearchProblem& problem,
                    const at::Tensor& statistic) {
  const ScaleRule rule = statistic_scale(spec);
  return by_candidate(statistic, [&](const at::Tensor& one) {
    const auto scale = scale_of_statistic(rule, one, at::full_like(one, problem.threshold));
    return quantize_scales(spec, scale, problem.shape);
  });
}

// Keeps per row the candidate with the least loss; the first of equals wins. `loss` takes and gives
// [candidates, rows].
template <typename Loss>
at::Tensor best_on_grid(const at::Tensor& left, const at::Tensor& right, int64_t points,
                        const Loss& loss) {
  std::vector<at::Tensor> grid;
  for (int64_t i = 0; i < points; ++i) {
    const double part = static_cast<double>(i) / static_cast<double>(points - 1);
    grid.push_back(left + (right - left) * part);
  }
  const auto losses = loss(at::stack(grid));
  at::Tensor best = grid[0], best_loss = losses[0];
  for (int64_t i = 1; i < points; ++i) {
    const auto better = losses[i].lt(best_loss);
    best = at::where(better, grid[static_cast<size_t>(i)], best);
    best_loss = at::where(better, losses[i], best_loss);
  }
  return best;
}

// As best_on_grid, by as many evaluations: the interval that holds the least loss of a row shrinks
// by the golden ratio, and the best candidate of all is kept.
template <typename Loss>
at::Tensor best_by_golden_section(const at::Tensor& left, const at::Tensor& right, int64_t points,
                                  const Loss& loss_of_all) {
  constexpr double kPart = 0.6180339887498949;
  const auto loss = [&](const at::Tensor& candidate) {
    return loss_of_all(candidate.unsqueeze(0))[0];
  };
  at::Tensor a = left, b = right, best = right, best_loss = loss(right);
  at::Tensor c = b - (b - a) * kPart, d = a + (b - a) * kPart, loss_c = loss(c), loss_d = loss(d);
  const auto keep = [&](const at::Tensor& candidate, const at::Tensor& candidate_loss) {
    const auto better = candidate_loss.lt(best_loss);
    best = at::where(better, candidate, best);
    best_loss = at::where(better, candidate_loss, best_loss);
  };
  keep(c, loss_c), keep(d, loss_d);
  for (int64_t i = 3; i < points; ++i) {
    const auto lower = loss_c.lt(loss_d);
    a = at::where(lower, a, c), b = at::where(lower, d, b);
    const auto fresh = at::where(lower, b - (b - a) * kPart, a + (b - a) * kPart);
    const auto fresh_loss = loss(fresh), kept = at::where(lower, c, d),
               kept_loss = at::where(lower, loss_c, loss_d);
    c = at::where(lower, fresh, kept), loss_c = at::where(lower, fresh_loss, kept_loss);
    d = at::where(lower, kept, fresh), loss_d = at::where(lower, kept_loss, fresh_loss);
    keep(fresh, fresh_loss);
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
  const ScaleRule rule = statistic_scale(spec);
  const auto full =
      at_least(row_statistic(whole_range(spec), problem.rows, problem.rows), rule.minimum).detach();
  const auto least = full / static_cast<double>(mse.grid_points);
  const auto loss = [&](const at::Tensor& statistic) {
    return squared_error(spec, problem, scale_at(spec, problem, statistic), problem.minimum);
  };
  const auto search = [&](const at::Tensor& left, const at::Tensor& right, int64_t points) {
    return mse.method == SearchMethod::kGrid ? best_on_grid(left, right, points, loss)
                                             : best_by_golden_section(left, right, points, loss);
  };
  if (!std::holds_alternative<SignedFloat>(rule.restriction))
    return search(least, full, mse.grid_points);
  const int64_t half = std::max<int64_t>(2, mse.grid_points / 2);
  const auto positive = search(least, full, half), negative = search(full.neg(), least.neg(), half);
  const auto losses = loss(at::stack({positive, negative}));
  return at::where(losses[0].le(losses[1]), positive, negative);
}

at::Tensor search_minimum(const MseMinimum& mse, const QuantSpec& spec,
                          const SearchProblem& problem, const at::Tensor& scale) {
  return best_on_grid(problem.minimum, problem.minimum / static_cast<double>(mse.grid_points),
                      mse.grid_points, [&](const at::Tensor& minimum) {
                        return squared_error(spec, problem, scale.expand_as(minimum), minimum);
                      });
}

namespace {

// What rounds of the half-quadratic search find: the loss before each, and the statistics after it,
// [rounds, scales].
struct HalfQuadraticSteps {
  std::vector<double> losses;
  at::Tensor statistics;
};

at::Tensor statistic_of_median(const ScaleRule& rule, const SearchProblem& problem,
                               const at::Tensor& median) {
  return at_least(median, rule.minimum) * problem.threshold;
}

// One round: the median over the row of the quotients that explain what shrinkage leaves.
HalfQuadraticSteps composed_round(const HalfQuadratic& kind, const QuantSpec& spec,
                                  const SearchProblem& problem, const at::Tensor& statistic,
                                  double beta) {
  QuantParameters parameters{scale_at(spec, problem, statistic), {}};
  parameters.zero_point = zero_point_at(spec, problem, problem.minimum, parameters.scale);
  const Quantized found = quantized_rows(spec, problem, parameters);
  const auto error = problem.rows - found.value;
  const auto target = problem.rows - shrunk(error, kind.p, beta);
  const auto whole =
      found.zero_point.defined() ? found.elements - found.zero_point : found.elements;
  const auto usable = whole.ne(0).logical_and(target.ne(0));
  const auto quotient = at::where(usable, target / whole,
                                  at::full_like(target, std::numeric_limits<double>::quiet_NaN()));
  const auto median = std::get<0>(at::nanmedian(quotient, 1, /*keepdim=*/false));
  const auto next = statistic_of_median(statistic_scale(spec), problem, median);
  return {{error.abs().mean().item<double>()},
          at::where(next.isfinite(), next, statistic).unsqueeze(0)};
}

// Scales that each row can follow by itself, from round to round.
std::optional<kernel::FreeScales> free_scales(const QuantSpec& spec, const SearchProblem& problem) {
  const ScaleRule rule = statistic_scale(spec);
  if (!std::holds_alternative<AnyFloat>(rule.restriction) || rule.affine != Affine::kNone)
    return std::nullopt;
  return kernel::FreeScales{static_cast<float>(rule.minimum), static_cast<float>(problem.threshold),
                            asymmetric(spec) ? problem.minimum.contiguous() : at::Tensor()};
}

// As many rounds as the kernel does well together, one where scales are restricted in between.
HalfQuadraticSteps fused_rounds(kernel::HalfQuadraticSearch& search, const QuantSpec& spec,
                                const SearchProblem& problem, const at::Tensor& statistic,
                                const kernel::HalfQuadraticTimes& times) {
  const auto scale = scale_at(spec, problem, statistic).contiguous();
  const auto zero_point = zero_point_at(spec, problem, problem.minimum, scale);
  const auto free = free_scales(spec, problem);
  auto found = free ? search.rounds({scale, zero_point}, times, *free)
                    : search.round({scale, zero_point}, times.beta);
  for (double& error : found.errors) error /= static_cast<double>(problem.rows.numel());
  return {found.errors, statistic_of_median(statistic_scale(spec), problem, found.medians)};
}

// Rounds build on one another, so that a last place makes another scale in the end: they are done
// where all others are, and faster than by operations on a device.
SearchProblem on_cpu(SearchProblem problem) {
  for (at::Tensor* part : {&problem.rows, &problem.importance, &problem.minimum})
    if (part->defined()) *part = part->detach().cpu();
  return problem;
}

}  // namespace

at::Tensor search_half_quadratic(const HalfQuadratic& kind, const QuantSpec& spec,
                                 const SearchProblem& given) {
  constexpr int64_t kTogether = 64;  // rounds
  const at::NoGradGuard no_gradient;
  if (!given.rows.is_cpu())
    return search_half_quadratic(kind, spec, on_cpu(given)).to(given.rows.device());
  SearchProblem problem = given;
  problem.rows = given.rows.detach().contiguous();
  at::Tensor statistic = at_least(row_statistic(whole_range(spec), problem.rows, problem.rows),
                                  statistic_scale(spec).minimum),
             best = statistic;
  auto fused = fused_half_quadratic(kind, spec, problem.rows);
  double best_loss = std::numeric_limits<double>::infinity(), beta = kind.beta;
  for (int64_t done = 0; done < kind.iterations;) {
    const int64_t together = std::min(kTogether, kind.iterations - done);
    const HalfQuadraticSteps steps =
        fused ? fused_rounds(*fused, spec, problem, statistic, {beta, kind.kappa, together})
              : composed_round(kind, spec, problem, statistic, beta);
    for (size_t i = 0; i < steps.losses.size(); ++i, ++done, beta *= kind.kappa) {
      if (!(steps.losses[i] < best_loss)) return best;
      best_loss = steps.losses[i];
      best = statistic;
      statistic = steps.statistics[static_cast<int64_t>(i)];
    }
  }
  return best;
}

at::Tensor search_minimum_half_quadratic(const HalfQuadraticMinimum& kind, const QuantSpec& spec,
                                         const SearchProblem& problem, const at::Tensor& scale) {
  const at::NoGradGuard no_gradient;
  if (!scale.is_cpu())
    return search_minimum_half_quadratic(kind, spec, on_cpu(problem), scale.cpu())
        .to(scale.device());
  const auto s = scale.unsqueeze(1);
  at::Tensor minimum = problem.minimum, best = minimum;
  double best_loss = std::numeric_limits<double>::infinity(), beta = kind.beta;
  for (int64_t i = 0; i < kind.iterations; ++i, beta *= kind.kappa) {
    const QuantParameters parameters{scale, zero_point_at(spec, problem, minimum, scale)};
    const Quantized found = quantized_rows(spec, problem, parameters);
    const auto error = problem.rows - found.value;
    const double loss = error.abs().mean().item<double>();
    if (!(loss < best_loss)) break;
    best_loss = loss;
    best = minimum;
    // x is about s (q - z): the mean of x - s q is -s z, the minimum when the codes begin at 0.
    minimum = (problem.rows - shrunk(error, kind.p, beta) - found.elements * s).mean(1);
  }
  return best;
}

}  // namespace laconic
