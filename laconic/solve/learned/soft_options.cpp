#include "laconic/solve/learned/soft_options.h"

#include "laconic/file/json/options.h"
#include "laconic/solve/learned/soft_codes.h"
#include "laconic/solve/problem.h"

namespace laconic::learned_rounding {

SoftOptions soft_options(int64_t steps) {
  SoftOptions options;
  options.loop.steps = steps;
  // The loss of soft codes says little of whole ones.
  options.loop.keeps_best = false;
  return options;
}

SoftOptions parse_soft_options(const char* solver, const nlohmann::json& options,
                               const nlohmann::json& defaults) {
  const nlohmann::json all = with_defaults(solver, options, defaults);
  SoftOptions parsed = soft_options(integer_option(solver, all, "steps", 0, 1'000'000));
  if (all.contains("batch")) parsed.loop.batch = integer_option(solver, all, "batch", 1, 1'000'000);
  if (all.contains("seed"))
    parsed.loop.seed = static_cast<uint64_t>(integer_option(solver, all, "seed", 0, INT64_MAX));
  if (all.contains("fisher")) parsed.has_fisher = boolean_option(solver, all, "fisher");
  if (all.contains("amp")) parsed.loop.has_mixed_precision = mixed_precision_option(solver, all);
  parsed.rate = number_option(solver, all, "rate", 0, 10);
  parsed.penalty = number_option(solver, all, "penalty", 0, 1e6);
  parsed.warmup = number_option(solver, all, "warmup", 0, 0.99);
  parsed.beta_start = number_option(solver, all, "beta_start", 1, 100);
  parsed.beta_end = number_option(solver, all, "beta_end", 1, 100);
  return parsed;
}

nlohmann::json to_json(const SoftOptions& options) {
  return {{"steps", options.loop.steps},  {"batch", options.loop.batch},
          {"seed", options.loop.seed},    {"rate", options.rate},
          {"fisher", options.has_fisher}, {"penalty", options.penalty},
          {"warmup", options.warmup},     {"beta_start", options.beta_start},
          {"beta_end", options.beta_end}};
}

std::vector<LayerSolution> solve_soft(const char* solver, const BlockProblem& problem,
                                      const SoftOptions& options) {
  const SoftCodes::Rules rules{options.rate,
                               options.penalty,
                               {.steps = options.loop.steps,
                                .warmup = options.warmup,
                                .start = options.beta_start,
                                .end = options.beta_end}};
  Variables variables;
  for (const LayerProblem& layer : problem.layers) {
    check_learnable(solver, layer);
    variables.push_back(std::make_unique<SoftCodes>(layer, rules));
  }
  return learn(solver, problem, variables, options.loop);
}

LayerSolution solve_soft_layer(const char* solver, const LayerProblem& problem,
                               const SoftOptions& options) {
  check_learnable(solver, problem);
  check_hessian(solver, problem);
  return solve_soft(solver, problem_of_layer(problem), options).at(0);
}

}  // namespace laconic::learned_rounding
