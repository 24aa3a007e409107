#pragma once

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/learned/soft_options.h"
#include "laconic/solve/solve.h"

namespace laconic::brecq {

/// AdaRound's variables of all layers of a block, learned on the block's output. A layer outside of
/// blocks is solved as by adaround. Paper: Li et al. 2021, arXiv:2102.05426.
/// @throws c10::ValueError naming the layer for NaN or infinity; as check_learnable.
std::vector<LayerSolution> solve_block(const BlockProblem& problem,
                                       const learned_rounding::SoftOptions& options);

std::vector<LayerSolution> solve_block_json(const BlockProblem& problem,
                                            const nlohmann::json& options);
LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "brecq",
                                .summary = "every weight down or up, learned on a block's output",
                                .paper = "arXiv:2102.05426",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options,
                                .solve_block = solve_block_json};

}  // namespace laconic::brecq
