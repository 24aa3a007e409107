#pragma once

#include "laconic/solve/gptaq/gptaq.h"

namespace laconic::gptaq {

/// GPTAQ in the order and the symbols of the paper, in float64: what `solve` must equal. Slow.
LayerSolution solve_reference(const LayerProblem& problem, const GptaqOptions& options);

}  // namespace laconic::gptaq
