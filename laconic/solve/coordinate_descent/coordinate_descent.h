#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "laconic/solve/solve.h"

namespace laconic::coordinate_descent {

struct CoordinateOptions {
  std::string start = "gptq";  ///< solver whose codes and scales are the first
  int64_t passes = 10;         ///< over all columns, unless no code changes before
};

/// Every code the best one while all others stay; never worse than the start (README.md).
/// @throws c10::ValueError naming the layer for a weight or a Hessian that is not finite.
LayerSolution solve(const LayerProblem& problem, const CoordinateOptions& options);

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "coordinate_descent",
                                .summary = "each code the best one while all others stay",
                                .paper = "",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options};

}  // namespace laconic::coordinate_descent
