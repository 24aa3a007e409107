#include "laconic/solve/nearest/nearest.h"

#include "laconic/file/json/options.h"
#include "laconic/solve/problem.h"

namespace laconic::nearest {

LayerSolution solve(const LayerProblem& problem, const nlohmann::json& options) {
  check_options(options);
  check_problem("nearest", problem, TakesCodes::kAll);
  const QuantParameters parameters = problem_parameters(problem, problem.weight);
  return {.codes = quantize_codes(problem.spec, problem.weight, parameters),
          .parameters = parameters};
}

void check_options(const nlohmann::json& options) { check_option_names("nearest", options, {}); }

nlohmann::json default_options() { return nlohmann::json::object(); }

}  // namespace laconic::nearest
