#pragma once

#include <vector>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel {

// Whole tensors whose runs lie in bands of rows (ScaleRuns::in_bands), on all threads: what
// fused.h does for the others. Of runs of kLongestBandRun at most.

/// One look at memory where a band fits the cache, else two.
/// @param job  `numbers` may be missing.
/// @returns whether all elements were finite, else the results mean nothing.
bool quantize_found_bands(FusedJob job);

void quantize_given_bands(const FusedJob& job);

/// Extremes of every scale.
std::vector<RangeKeys> keys_of_bands(const FusedJob& job);

/// Gradient sums of every scale.
std::vector<GradientSums> gradient_sums_of_bands(const BackwardJob& job);

void write_band_gradients(const BackwardJob& job);

}  // namespace laconic::kernel
