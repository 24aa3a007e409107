#pragma once

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/columns/options.h"
#include "laconic/solve/solve.h"

namespace laconic::gpfq {

/// `damping` has no meaning here: nothing is inverted.
using GpfqOptions = columns::Options;

/// Greedy path following: each column is rounded so that the quantized path sum_{j<=t} X~_j q_j
/// stays as near to the float one as this column can bring it. Paper: Lybrand, Saab 2021,
/// arXiv:2010.11979; with the quantized network's inputs: Zhang, Zhou, Saab 2023, arXiv:2201.11113.
/// @throws c10::ValueError for a Hessian or mismatch that is not finite.
LayerSolution solve(const LayerProblem& problem, const GpfqOptions& options);

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "gpfq",
                                .summary = "greedy following of the float network's path",
                                .paper = "arXiv:2201.11113",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options,
                                .needs_mismatch = true,
                                .takes = TakesCodes::kOfTables};

}  // namespace laconic::gpfq
