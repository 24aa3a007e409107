#include "laconic/solve/adaround/adaround.h"

#include <nlohmann/json.hpp>

#include "laconic/solve/problem.h"

namespace laconic::adaround {
namespace {

constexpr const char* kName = "adaround";

learned::SoftOptions parse_options(const nlohmann::json& options) {
  return learned::parse_soft_options(kName, options, default_options());
}

}  // namespace

LayerSolution solve(const LayerProblem& problem, const learned::SoftOptions& options) {
  learned::check_learnable(kName, problem);
  check_hessian(kName, problem);
  return learned::solve_soft(kName, learned::problem_of_layer(problem), options).at(0);
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, parse_options(options));
}

void check_options(const nlohmann::json& options) { parse_options(options); }

nlohmann::json default_options() {
  nlohmann::json options = learned::to_json(learned::soft_options(1000));
  // The Hessian is of all windows: none is drawn.
  options.erase("batch");
  options.erase("seed");
  return options;
}

}  // namespace laconic::adaround
