#include "laconic/solve/autoround/autoround.h"

#include <algorithm>

#include "laconic/file/json/options.h"
#include "laconic/solve/autoround/offsets.h"
#include "laconic/solve/problem.h"

namespace laconic::autoround {
namespace {

constexpr const char* kName = "autoround";

AutoRoundOptions parse_options(const nlohmann::json& options) {
  const nlohmann::json all = with_defaults(kName, options, default_options());
  AutoRoundOptions parsed;
  parsed.loop.steps = integer_option(kName, all, "steps", 0, 1'000'000);
  parsed.loop.batch = integer_option(kName, all, "batch", 1, 1'000'000);
  parsed.loop.seed = static_cast<uint64_t>(integer_option(kName, all, "seed", 0, INT64_MAX));
  parsed.loop.has_mixed_precision = learned_rounding::mixed_precision_option(kName, all);
  parsed.rate = number_option(kName, all, "rate", 0, 1);
  parsed.clip_rate = number_option(kName, all, "clip_rate", 0, 1);
  parsed.learns_clip = boolean_option(kName, all, "learn_clip");
  parsed.has_fisher = boolean_option(kName, all, "fisher");
  return parsed;
}

Offsets::Rates rates_of(const AutoRoundOptions& options) {
  const int64_t steps = options.loop.steps;
  const double rate =
      options.rate > 0 ? options.rate : 1.0 / static_cast<double>(std::max<int64_t>(steps, 1));
  const double clip = options.clip_rate > 0 ? options.clip_rate : rate;
  return {{.steps = steps, .start = rate}, {.steps = steps, .start = clip}, options.learns_clip};
}

std::vector<LayerSolution> solve_together(const BlockProblem& problem,
                                          const AutoRoundOptions& options) {
  learned_rounding::Variables variables;
  for (const LayerProblem& layer : problem.layers)
    variables.push_back(std::make_unique<Offsets>(layer, rates_of(options)));
  return learned_rounding::learn(kName, problem, variables, options.loop);
}

}  // namespace

std::vector<LayerSolution> solve_block(const BlockProblem& problem,
                                       const AutoRoundOptions& options) {
  for (const LayerProblem& layer : problem.layers) learned_rounding::check_learnable(kName, layer);
  return solve_together(problem, options);
}

LayerSolution solve(const LayerProblem& problem, const AutoRoundOptions& options) {
  learned_rounding::check_learnable(kName, problem);
  check_hessian(kName, problem);
  return solve_together(learned_rounding::problem_of_layer(problem), options).at(0);
}

std::vector<LayerSolution> solve_block_json(const BlockProblem& problem,
                                            const nlohmann::json& options) {
  return solve_block(problem, parse_options(options));
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  AutoRoundOptions parsed = parse_options(options);
  parsed.loop.has_mixed_precision = false;  // of the network; here is none
  return solve(problem, parsed);
}

void check_options(const nlohmann::json& options) { parse_options(options); }

nlohmann::json default_options() {
  const AutoRoundOptions defaults;
  return {{"steps", defaults.loop.steps},    {"batch", defaults.loop.batch},
          {"seed", defaults.loop.seed},      {"rate", defaults.rate},
          {"clip_rate", defaults.clip_rate}, {"learn_clip", defaults.learns_clip},
          {"fisher", defaults.has_fisher},   {"amp", "auto"}};
}

}  // namespace laconic::autoround
