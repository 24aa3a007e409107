#pragma once

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/learned/loop.h"
#include "laconic/solve/solve.h"

namespace laconic::autoround {

struct AutoRoundOptions {
  learned_rounding::LoopOptions loop = {};
  double rate = 0;          ///< of the first step, in codes; 0: 1 / steps
  double clip_rate = 0;     ///< of the factors of the range; 0: as `rate`
  bool learns_clip = true;  ///< the range, too, where the spec's scale has a statistic
  bool has_fisher = false;  ///< the block's loss has Fisher weights: given with it
};

/// Rounding and range of all layers of a block by signed gradient descent on the block's error.
/// With 0 steps it is rounding to nearest. Paper: Cheng et al. 2023, arXiv:2309.05516.
/// @throws c10::ValueError naming the layer for NaN or infinity; as check_learnable.
std::vector<LayerSolution> solve_block(const BlockProblem& problem,
                                       const AutoRoundOptions& options);

/// One layer by the error of its output, x (W - Q)^T. @throws as solve_block.
LayerSolution solve(const LayerProblem& problem, const AutoRoundOptions& options);

std::vector<LayerSolution> solve_block_json(const BlockProblem& problem,
                                            const nlohmann::json& options);
LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "autoround",
                                .summary = "rounding and range learned on the error of a block",
                                .paper = "arXiv:2309.05516",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options,
                                .solve_block = solve_block_json};

}  // namespace laconic::autoround
