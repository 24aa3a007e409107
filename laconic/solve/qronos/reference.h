#pragma once

#include "laconic/solve/qronos/qronos.h"

namespace laconic::qronos {

/// Qronos in the order and the symbols of the paper, in float64: what `solve` must equal. Slow.
LayerSolution solve_reference(const LayerProblem& problem, const QronosOptions& options);

}  // namespace laconic::qronos
