#pragma once

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/solve.h"

namespace laconic::half_quadratic {

struct HalfQuadraticOptions {
  int64_t iterations = 20;
  double p = 0.7;       ///< of the norm, in (0, 1]
  double beta = 10;     ///< weight of the split, grows
  double kappa = 1.01;  ///< by this factor
};

/// Zero points, or scales, of the least |W - Q|_p^p; never worse than those of the statistic
/// (README.md). Looks at no data.
/// @throws c10::ValueError naming the layer for other zero points than none and float, for scales
/// that are not one of a row or a group of its inputs, or may not move; NaN or infinity.
LayerSolution solve(const LayerProblem& problem, const HalfQuadraticOptions& options);

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "half_quadratic",
                                .summary = "zero points or scales robust to outliers, no data",
                                .paper = "",
                                .needs_hessian = false,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options};

}  // namespace laconic::half_quadratic
