#include "laconic/solve/gptaq/gptaq.h"

#include "laconic/file/json/options.h"
#include "laconic/kernel/panel_matrix.h"
#include "laconic/kernel/panels.h"
#include "laconic/solve/columns/columns.h"

namespace laconic::gptaq {
namespace {

columns::OptionRules option_rules() { return {.solver = "gptaq", .more = {"alpha"}}; }

GptaqOptions parse_options(const nlohmann::json& options) {
  GptaqOptions parsed{columns::parse(option_rules(), options, {})};
  if (options.contains("alpha")) parsed.alpha = number_option("gptaq", options, "alpha", 0, 1);
  return parsed;
}

/// S of README.md, negated: above the diagonal -alpha (D R^-T)_ij / R_jj.
at::Tensor negative_steps(const columns::Layer& layer, const kernel::ReverseCholesky& factor,
                          const at::Tensor& feedback, double alpha) {
  at::Tensor panels = kernel::to_panels(layer.ordered(layer.problem.mismatch.t()));
  columns::follow(panels, feedback, kernel::squared_pivots(factor));
  return kernel::from_panels(panels, feedback.size(0)).triu(1).mul_(-alpha);
}

}  // namespace

LayerSolution solve(const LayerProblem& problem, const GptaqOptions& options) {
  return columns::solve("gptaq", problem, options.columns, [&](columns::Layer& layer) {
    const auto factor =
        columns::factorize(layer, options.columns.damping, layer.diagonal.mean().item<double>());
    at::Tensor F = kernel::feedback_columns(factor, 0, factor.size);
    if (!problem.mismatch.defined()) return columns::Recurrence{{}, columns::feedback_of(F)};
    const at::Tensor S = negative_steps(layer, factor, F, options.alpha);
    at::Tensor base = kernel::to_panels(layer.weight, layer.order);
    kernel::solve_panels(base, S);
    at::Tensor rows = kernel::to_panels(F);
    kernel::solve_panels(rows, S);
    return columns::Recurrence{base, columns::feedback_of(kernel::from_panels(rows, factor.size))};
  });
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, parse_options(options));
}

void check_options(const nlohmann::json& options) { parse_options(options); }

nlohmann::json default_options() {
  nlohmann::json json = columns::to_json(option_rules(), {});
  json["alpha"] = GptaqOptions{}.alpha;
  return json;
}

}  // namespace laconic::gptaq
