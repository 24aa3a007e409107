#include "laconic/solve/brecq/brecq.h"

#include <nlohmann/json.hpp>

#include "laconic/graph/mixed_precision.h"

namespace laconic::brecq {
namespace {

constexpr const char* kName = "brecq";

learned_rounding::SoftOptions parse_options(const nlohmann::json& options) {
  return learned_rounding::parse_soft_options(kName, options, default_options());
}

}  // namespace

std::vector<LayerSolution> solve_block(const BlockProblem& problem,
                                       const learned_rounding::SoftOptions& options) {
  return learned_rounding::solve_soft(kName, problem, options);
}

std::vector<LayerSolution> solve_block_json(const BlockProblem& problem,
                                            const nlohmann::json& options) {
  learned_rounding::SoftOptions parsed = parse_options(options);
  parsed.loop.has_mixed_precision = graph::MixedPrecision::is_fast();
  return solve_block(problem, parsed);
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return learned_rounding::solve_soft_layer(kName, problem, parse_options(options));
}

void check_options(const nlohmann::json& options) { parse_options(options); }

nlohmann::json default_options() {
  return learned_rounding::to_json(learned_rounding::soft_options(500));
}

}  // namespace laconic::brecq
