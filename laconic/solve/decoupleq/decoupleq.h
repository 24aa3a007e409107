#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "laconic/solve/solve.h"

namespace laconic::decoupleq {

struct DecoupleqOptions {
  std::string start = "gptq";  ///< solver whose codes and scales are the first
  int64_t rounds = 4;          ///< scales, then codes
  int64_t passes = 4;          ///< over all columns in a round
};

/// Scales and codes take turns; never worse than the start (README.md). Paper: arXiv:2404.12759.
/// @throws c10::ValueError naming the layer for scales that are not any float of a row or a group
/// of its inputs, NaN or infinity.
LayerSolution solve(const LayerProblem& problem, const DecoupleqOptions& options);

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "decoupleq",
                                .summary = "scales by least squares and codes, in turn",
                                .paper = "arXiv:2404.12759",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options};

}  // namespace laconic::decoupleq
