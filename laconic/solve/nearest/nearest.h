#pragma once

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/solve.h"

namespace laconic::nearest {

/// Round to nearest: scales by the spec's statistic, codes by its rounding. Looks at no data.
LayerSolution solve(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{
    .name = "nearest",
    .summary = "scales by the statistic, every weight to its nearest code",
    .paper = "",
    .needs_hessian = false,
    .solve = solve,
    .check_options = check_options,
    .default_options = default_options,
    .takes = TakesCodes::kAll};

}  // namespace laconic::nearest
