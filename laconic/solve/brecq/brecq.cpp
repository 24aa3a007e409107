#include "laconic/solve/brecq/brecq.h"

#include <nlohmann/json.hpp>

#include "laconic/graph/mixed_precision.h"
#include "laconic/solve/problem.h"

namespace laconic::brecq {
namespace {

constexpr const char* kName = "brecq";

learned::SoftOptions parse_options(const nlohmann::json& options) {
  return learned::parse_soft_options(kName, options, default_options());
}

}  // namespace

std::vector<LayerSolution> solve_block(const BlockProblem& problem,
                                       const learned::SoftOptions& options) {
  return learned::solve_soft(kName, problem, options);
}

std::vector<LayerSolution> solve_block_json(const BlockProblem& problem,
                                            const nlohmann::json& options) {
  learned::SoftOptions parsed = parse_options(options);
  parsed.loop.has_mixed_precision = graph::MixedPrecision::is_fast();
  return solve_block(problem, parsed);
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  learned::check_learnable(kName, problem);
  check_hessian(kName, problem);
  return learned::solve_soft(kName, learned::problem_of_layer(problem), parse_options(options))
      .at(0);
}

void check_options(const nlohmann::json& options) { parse_options(options); }

nlohmann::json default_options() { return learned::to_json(learned::soft_options(500)); }

}  // namespace laconic::brecq
