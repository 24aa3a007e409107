#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "laconic/solve/learned/variable.h"

namespace laconic::learned_rounding {

struct LoopOptions {
  int64_t steps = 200;
  int64_t batch = 8;       ///< windows of one step, drawn without repetition
  uint64_t seed = 0;       ///< of the draws
  bool keeps_best = true;  ///< the state with the least loss of a step is a candidate, too
  /// Matrix products of the steps in bfloat16; none: where the weights' device has units for it.
  std::optional<bool> has_mixed_precision = false;
};

/// Learns the variables of a problem's layers. The result is the state with the least loss over all
/// windows among the one it began with, the last, and the best seen; a note says when nothing was
/// learned.
/// @param solver  for messages.
/// @returns  one solution a layer.
/// @throws c10::ValueError naming the block when the loss is not finite; Interrupted.
std::vector<LayerSolution> learn(const char* solver, const BlockProblem& problem,
                                 const Variables& variables, const LoopOptions& options);

/// `count` of `windows` numbers, rising; all of them when there are no more.
std::vector<int64_t> draw_windows(int64_t windows, int64_t count, uint64_t seed, int64_t step);

/// @throws c10::ValueError for a format that does not take the nearest element; and as
/// check_problem.
void check_learnable(const char* solver, const LayerProblem& problem);

/// The option `amp`, for `has_mixed_precision`: "auto", true or false.
/// @throws c10::ValueError saying what was expected.
std::optional<bool> mixed_precision_option(const char* solver, const nlohmann::json& options);

/// A layer by itself as a problem of one window: the error of its output by its Hessian.
BlockProblem problem_of_layer(const LayerProblem& layer);

}  // namespace laconic::learned_rounding
