#include "laconic/solve/gpfq/gpfq.h"

#include <nlohmann/json.hpp>

#include "laconic/kernel/panel_matrix.h"
#include "laconic/kernel/panels.h"
#include "laconic/solve/columns/columns.h"
#include "laconic/solve/gpfq/reference.h"

namespace laconic::gpfq {
namespace {

columns::OptionRules option_rules() {
  return {.solver = "gpfq", .has_damping = false, .has_live_scales = true};
}

}  // namespace

LayerSolution solve(const LayerProblem& problem, const GpfqOptions& options) {
  return columns::solve(
      "gpfq", problem, options,
      [&](columns::Layer& layer) {
        const at::Tensor diagonal =
            layer.diagonal.index_select(0, layer.order).to(at::kFloat).unsqueeze(0);
        const at::Tensor H = layer.ordered(problem.hessian.to(at::kFloat));
        columns::Recurrence recurrence{{}, columns::feedback_of(H.triu(1) / diagonal)};
        if (problem.mismatch.defined()) {
          const at::Tensor D = layer.ordered(problem.mismatch.t()).triu() / diagonal;
          recurrence.base = kernel::multiply_panels(layer.panels(), D, /*upper=*/true) +
                            kernel::to_panels(layer.weight, layer.order);
        }
        return recurrence;
      },
      solve_reference);
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, columns::parse(option_rules(), options, {}));
}

void check_options(const nlohmann::json& options) { columns::parse(option_rules(), options, {}); }

nlohmann::json default_options() { return columns::to_json(option_rules(), GpfqOptions{}); }

}  // namespace laconic::gpfq
