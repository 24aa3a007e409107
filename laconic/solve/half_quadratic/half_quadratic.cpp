#include "laconic/solve/half_quadratic/half_quadratic.h"

#include <ATen/ops/where.h>
#include <c10/util/Exception.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "laconic/file/json/options.h"
#include "laconic/solve/columns/scale_table.h"
#include "laconic/solve/problem.h"

namespace laconic::half_quadratic {
namespace {

constexpr const char* kName = "half_quadratic";

HalfQuadraticOptions parse(const nlohmann::json& options) {
  const auto all = with_defaults(kName, options, default_options());
  return {integer_option(kName, all, "iterations", 1, 1'000'000),
          number_option(kName, all, "p", 1e-3, 1), number_option(kName, all, "beta", 1e-6, 1e12),
          number_option(kName, all, "kappa", 1, 100)};
}

bool moves_zero_point(const QuantSpec& spec) {
  return std::holds_alternative<FloatZeroPoint>(spec.zero_point);
}

void check_movable(const LayerProblem& problem) {
  const QuantSpec& spec = problem.spec;
  TORCH_CHECK_VALUE(moves_zero_point(spec) || std::holds_alternative<NoZeroPoint>(spec.zero_point),
                    "[half_quadratic] layer ", problem.name,
                    ": expected a zero point that is a float, or none, ", "got ", to_string(spec),
                    ". Set zero_point to float or none.");
  const auto rule = statistic_of(spec.scale);
  const bool may_move =
      moves_zero_point(spec) || (rule && std::holds_alternative<AnyFloat>(rule->restriction));
  TORCH_CHECK_VALUE(may_move && !problem.parameters, "[half_quadratic] layer ", problem.name,
                    ": expected scales that may be any float, got ", to_string(spec),
                    ". Set restriction to float.");
  const auto* channel = std::get_if<PerChannel>(&spec.granularity);
  const bool is_row = channel != nullptr && (channel->axis == 0 || channel->axis == -2);
  TORCH_CHECK_VALUE(is_row || columns::input_group_size(spec) > 0, "[half_quadratic] layer ",
                    problem.name, ": expected a scale for each row or group of its inputs, got ",
                    to_string(spec), ". Choose granularity channel or group with axis 1.");
}

// The search on groups as rows: weights [..., n] beside scales [..., 1].
class HalfQuadratic {
 public:
  HalfQuadratic(const LayerProblem& problem, const HalfQuadraticOptions& options)
      : spec_(problem.spec),
        options_(options),
        weight_(problem.weight),
        view_(grouped(problem.weight, problem.spec.granularity)),
        now_(problem_parameters(problem, problem.weight)) {}

  LayerSolution run() {
    double beta = options_.beta;
    for (int64_t i = 0; i < options_.iterations; ++i, beta *= options_.kappa) {
      step(beta);
    }
    keep_best(view_ - view_of(value()));
    return {.codes = quantize_codes(spec_, weight_, best_), .parameters = best_};
  }

 private:
  at::Tensor view_of(const at::Tensor& x) const { return grouped(x, spec_.granularity); }
  at::Tensor value() const {
    return dequantize(spec_, quantize_codes(spec_, weight_, now_), now_).to(at::kFloat);
  }

  void keep_best(const at::Tensor& r) {
    const auto loss = r.abs().pow(options_.p).sum(-1, true);
    if (!loss_.defined()) {
      loss_ = loss, best_ = now_;
      return;
    }
    const auto is_better = loss.lt(loss_);
    const auto better = [&](const at::Tensor& now, const at::Tensor& best) {
      return now.defined() ? at::where(is_better.view(now.sizes()), now, best) : now;
    };
    best_.scale = better(now_.scale, best_.scale);
    best_.zero_point = better(now_.zero_point, best_.zero_point);
    loss_ = at::where(is_better, loss, loss_);
  }

  void step(double beta) {
    const auto scale = now_.scale.to(at::kFloat);
    const auto q = view_of(value());  // (element - zero point) * scale
    const auto r = view_ - q;
    keep_best(r);
    const auto magnitude = r.abs();
    const auto rest = (magnitude - magnitude.pow(options_.p - 1) / beta).clamp_min(0) * r.sign();
    const auto target = view_ - rest;
    if (moves_zero_point(spec_)) {
      // q - target / s, with q = value / s + z.
      const auto shift = ((q - target) / scale).mean(-1, true);
      now_.zero_point = now_.zero_point + shift.view(now_.zero_point.sizes());
      return;
    }
    const auto elements = q / scale;
    const auto ratio = at::where(
        elements.eq(0), at::Tensor(elements.new_full({1}, std::numeric_limits<float>::quiet_NaN())),
        target / elements);
    const auto median = std::get<0>(ratio.nanmedian(-1, true)).view(now_.scale.sizes());
    now_.scale = at::where(median.gt(0), median.to(now_.scale.scalar_type()), now_.scale);
  }

  const QuantSpec& spec_;
  const HalfQuadraticOptions& options_;
  const at::Tensor& weight_;
  at::Tensor view_, loss_;
  QuantParameters now_, best_;
};

}  // namespace

LayerSolution solve(const LayerProblem& problem, const HalfQuadraticOptions& options) {
  check_problem(kName, problem);
  check_movable(problem);
  return HalfQuadratic(problem, options).run();
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, parse(options));
}

void check_options(const nlohmann::json& options) { parse(options); }

nlohmann::json default_options() {
  const HalfQuadraticOptions defaults;
  return {{"iterations", defaults.iterations},
          {"p", defaults.p},
          {"beta", defaults.beta},
          {"kappa", defaults.kappa}};
}

}  // namespace laconic::half_quadratic
