#include "laconic/solve/gptq/gptq.h"

#include <nlohmann/json.hpp>

#include "laconic/solve/columns/columns.h"
#include "laconic/solve/gptq/reference.h"

namespace laconic::gptq {
namespace {

columns::OptionRules option_rules() { return {.solver = "gptq", .has_live_scales = true}; }

}  // namespace

LayerSolution solve(const LayerProblem& problem, const GptqOptions& options) {
  return columns::solve(
      "gptq", problem, options,
      [&](columns::Layer& layer) {
        const auto factor =
            columns::factorize(layer, options.damping, layer.diagonal.mean().item<double>());
        return columns::Recurrence{{}, [factor](int64_t begin, int64_t end) {
                                     return kernel::feedback_columns(factor, begin, end);
                                   }};
      },
      solve_reference);
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, columns::parse(option_rules(), options, {}));
}

void check_options(const nlohmann::json& options) { columns::parse(option_rules(), options, {}); }

nlohmann::json default_options() { return columns::to_json(option_rules(), GptqOptions{}); }

}  // namespace laconic::gptq
