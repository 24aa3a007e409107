#pragma once

#include <vector>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel {

// Whole tensors whose runs lie in bands of rows (ScaleRuns::in_bands), on all threads: what
// fused.h does for the others. Of runs of kLongestBandRun at most.

/// Whether a cache holds a band of enough columns, so that one look at memory does.
bool fit_cache(const ScaleRuns& runs);

/// Numbers and values in one look, where bands fit a cache.
/// @returns whether all elements were finite, else the results mean nothing.
bool quantize_found_bands(const FusedJob& job);

void quantize_given_bands(const FusedJob& job);

/// Extremes of every scale.
std::vector<RangeKeys> keys_of_bands(const FusedJob& job);

/// Gradient sums of every scale.
std::vector<GradientSums> gradient_sums_of_bands(const BackwardJob& job);

void write_band_gradients(const BackwardJob& job);

}  // namespace laconic::kernel
