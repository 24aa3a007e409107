#pragma once

#include "laconic/solve/solve.h"

namespace laconic {

/// What every solver asks of its problem: a finite [out, in] weight, and frozen parameters or a
/// spec that can find them before any input is seen.
/// @throws c10::ValueError naming the solver and the layer, c10::NotImplementedError for codes that
/// the solver does not take.
void check_problem(const char* solver, const LayerProblem& problem,
                   TakesCodes takes = TakesCodes::kOfOneWorth);

/// @throws c10::ValueError unless the Hessian is [in, in], finite and has no negative diagonal.
void check_hessian(const char* solver, const LayerProblem& problem);

/// @throws c10::ValueError unless the mismatch is undefined or [in, in] and finite.
void check_mismatch(const char* solver, const LayerProblem& problem);

/// The frozen parameters, or those that the spec's statistic finds for `weight`.
QuantParameters problem_parameters(const LayerProblem& problem, const at::Tensor& weight);

}  // namespace laconic
