#pragma once

#include "laconic/solve/gptq/gptq.h"

namespace laconic::gptq {

/// GPTQ in the order and the symbols of the paper, in float64, without blocks: what `solve` must
/// equal, and the only way for GroupScales::kLive. Slow.
LayerSolution solve_reference(const LayerProblem& problem, const GptqOptions& options);

}  // namespace laconic::gptq
