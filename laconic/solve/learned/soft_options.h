#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "laconic/solve/learned/loop.h"

namespace laconic::learned_rounding {

/// Options of the solvers that learn whether a weight is rounded down or up (soft_codes.h).
struct SoftOptions {
  LoopOptions loop = {};
  bool has_fisher = false;               ///< the block's loss has Fisher weights: given with it
  double rate = 0.01;                    ///< of Adam
  double penalty = 1;                    ///< of shares between, beside the relative loss
  double warmup = 0.2;                   ///< share of the steps without penalty
  double beta_start = 20, beta_end = 2;  ///< the penalty's exponent
};

/// Defaults of a solver with so many steps.
SoftOptions soft_options(int64_t steps);

/// @param defaults  all keys that the solver knows.
/// @throws c10::ValueError for an unknown key or a wrong value.
SoftOptions parse_soft_options(const char* solver, const nlohmann::json& options,
                               const nlohmann::json& defaults);
nlohmann::json to_json(const SoftOptions& options);

/// The layers' rounding, learned. @throws c10::ValueError naming the layer.
std::vector<LayerSolution> solve_soft(const char* solver, const BlockProblem& problem,
                                      const SoftOptions& options);

/// One layer's rounding, learned on its output by its Hessian. @throws c10::ValueError naming the
/// layer; as check_hessian.
LayerSolution solve_soft_layer(const char* solver, const LayerProblem& problem,
                               const SoftOptions& options);

}  // namespace laconic::learned_rounding
