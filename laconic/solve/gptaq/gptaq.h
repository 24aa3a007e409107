#pragma once

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/columns/options.h"
#include "laconic/solve/solve.h"

namespace laconic::gptaq {

struct GptaqOptions {
  columns::Options columns = {};  ///< `damping` in units of the mean of the Hessian's diagonal
  double alpha = 0.25;  ///< share of the mismatch that is made good; the derivation gives 1, the
                        ///< authors use a quarter
};

/// GPTQ whose recursion also makes good what the layer's inputs lost before it. Paper: Li et al.
/// 2025, arXiv:2504.02692. Without a mismatch it is GPTQ, bit for bit.
/// @throws c10::ValueError for a Hessian or mismatch that is not finite.
LayerSolution solve(const LayerProblem& problem, const GptaqOptions& options);

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "gptaq",
                                .summary = "error feedback that follows the float network's inputs",
                                .paper = "arXiv:2504.02692",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options,
                                .needs_mismatch = true,
                                .takes = TakesCodes::kOfTables};

}  // namespace laconic::gptaq
