#include "laconic/solve/brecq/brecq.h"

#include <nlohmann/json.hpp>

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
  return solve_block(problem, parse_options(options));
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  learned_rounding::SoftOptions parsed = parse_options(options);
  parsed.loop.has_mixed_precision = false;  // of the network; here is none
  return learned_rounding::solve_soft_layer(kName, problem, parsed);
}

void check_options(const nlohmann::json& options) { parse_options(options); }

nlohmann::json default_options() {
  nlohmann::json options = learned_rounding::to_json(learned_rounding::soft_options(500));
  options["amp"] = "auto";
  return options;
}

}  // namespace laconic::brecq
