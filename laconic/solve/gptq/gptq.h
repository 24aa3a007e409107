#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "laconic/solve/solve.h"

namespace laconic::gptq {

/// When the scales of groups along the inputs are found. Other granularities have one scale a row
/// or less, which is found before in any case (but for kLive).
enum class GroupScales {
  kBefore,  ///< from the float weights, before any update
  kDuring,  ///< at each group's first column, from the weights as they are then
  kLive,  ///< anew at each column, from weights of which some are rounded already; for comparisons:
          ///< slow and worse
};

struct GptqOptions {
  double damping = 0.01;     ///< added to the Hessian's diagonal, in units of its mean
  int64_t block_size = 128;  ///< columns between two lazy updates; the result does not depend on it
  bool activation_order = false;  ///< columns by falling diagonal of the Hessian
  GroupScales group_scales = GroupScales::kBefore;
};

/// @throws c10::ValueError for an unknown key or a wrong value, and for activation_order with
/// group_scales
///         "during": columns of one group are then far apart, so that no moment is its start.
GptqOptions parse_options(const nlohmann::json& options);

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

inline constexpr Solver kSolver{"gptq",
                                "Hessian-guided rounding with error feedback",
                                "arXiv:2210.17323",
                                true,
                                solve_json,
                                check_options,
                                default_options};

}  // namespace laconic::gptq
