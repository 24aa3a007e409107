#include "laconic/solve/adaround/adaround.h"

#include <nlohmann/json.hpp>

namespace laconic::adaround {
namespace {

constexpr const char* kName = "adaround";

learned_rounding::SoftOptions parse_options(const nlohmann::json& options) {
  return learned_rounding::parse_soft_options(kName, options, default_options());
}

}  // namespace

LayerSolution solve(const LayerProblem& problem, const learned_rounding::SoftOptions& options) {
  return learned_rounding::solve_soft_layer(kName, problem, options);
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, parse_options(options));
}

void check_options(const nlohmann::json& options) { parse_options(options); }

nlohmann::json default_options() {
  nlohmann::json options = learned_rounding::to_json(learned_rounding::soft_options(1000));
  // The Hessian is of all windows: none is drawn.
  options.erase("batch");
  options.erase("seed");
  options.erase("fisher");
  return options;
}

}  // namespace laconic::adaround
