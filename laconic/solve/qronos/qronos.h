#pragma once

#include <ATen/core/ATen_fwd.h>

#include <nlohmann/json_fwd.hpp>

#include "laconic/solve/columns/options.h"
#include "laconic/solve/solve.h"

namespace laconic::qronos {

/// `damping` is in units of the Hessian's largest eigenvalue: 1e-6 for weights alone, 1e-3 when
/// inputs are quantized too.
using QronosOptions = columns::Options;
QronosOptions default_qronos();

/// Corrects the error of the layer's inputs exactly with the first column, then diffuses what
/// rounding costs. Paper: Zhang et al. 2025, arXiv:2505.11695. Without a mismatch it is GPTQ with
/// the same damping.
/// @throws c10::ValueError for a Hessian or mismatch that is not finite.
LayerSolution solve(const LayerProblem& problem, const QronosOptions& options);

/// The largest eigenvalue of a symmetric positive semidefinite matrix by 30 steps of power
/// iteration; 0 of zeros.
double largest_eigenvalue(const at::Tensor& hessian);

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options);
void check_options(const nlohmann::json& options);
nlohmann::json default_options();

inline constexpr Solver kSolver{.name = "qronos",
                                .summary = "exact correction of past error, then error feedback",
                                .paper = "arXiv:2505.11695",
                                .needs_hessian = true,
                                .solve = solve_json,
                                .check_options = check_options,
                                .default_options = default_options,
                                .needs_mismatch = true,
                                .takes = TakesCodes::kOfTables};

}  // namespace laconic::qronos
