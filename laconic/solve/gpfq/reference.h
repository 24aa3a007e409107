#pragma once

#include "laconic/solve/gpfq/gpfq.h"

namespace laconic::gpfq {

/// GPFQ by the sums of its definition, in float64: what `solve` must equal. Slow.
LayerSolution solve_reference(const LayerProblem& problem, const GpfqOptions& options);

}  // namespace laconic::gpfq
