#pragma once

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/columns/options.h"
#include "laconic/solve/solve.h"

namespace laconic::gptq {

using columns::GroupScales;
/// `damping` is in units of the mean of the Hessian's diagonal.
using GptqOptions = columns::Options;

/// Minimises tr((W - Q) H (W - Q)^T) greedily, column by column. Paper: Frantar et al. 2022,
/// arXiv:2210.17323.
///
/// Columns whose input is always zero get weight 0. When H + damping is not positive definite the
/// damping grows tenfold until it is, which a note says. The result depends neither on the block
/// size nor on the number of threads.
/// @throws c10::ValueError for a Hessian that is not finite.
LayerSolution solve(const LayerProblem& problem, const GptqOptions& options);

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "gptq",
                                .summary = "Hessian-guided rounding with error feedback",
                                .paper = "arXiv:2210.17323",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options,
                                .takes = TakesCodes::kOfTables};

}  // namespace laconic::gptq
