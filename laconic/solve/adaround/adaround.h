#pragma once

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/learned/soft_options.h"
#include "laconic/solve/solve.h"

namespace laconic::adaround {

/// Rounds each weight down or up such that the layer's output, x (W - Q)^T, has the least error.
/// Paper: Nagel et al. 2020, arXiv:2004.10568.
/// @throws c10::ValueError naming the layer for NaN or infinity; as check_learnable.
LayerSolution solve(const LayerProblem& problem, const learned_rounding::SoftOptions& options);

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "adaround",
                                .summary = "every weight down or up, learned on the layer's output",
                                .paper = "arXiv:2004.10568",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options};

}  // namespace laconic::adaround
