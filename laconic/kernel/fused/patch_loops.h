#pragma once

#include <cstdint>

#include "laconic/kernel/fused/job.h"
#include "laconic/kernel/fused/patches.h"

namespace laconic::kernel {

// The loops of one thread over runs in bands: row by row, each column with numbers of its own.

/// Columns of a patch at most.
inline constexpr int64_t kPatchColumns = kLongestBandRun;

/// As quantize_found_runs, for a patch that has all rows of its band.
bool quantize_found_patch(const FusedJob& job, const Patch& patch);

void quantize_given_patch(const FusedJob& job, const Patch& patch);

/// Extremes of the scales of the patch into keys[0], ...
void find_patch_keys(const FusedJob& job, const Patch& patch, RangeKeys* keys);

/// Gradient sums of the scales of the patch into sums[0], ...
void sum_patch_gradients(const BackwardJob& job, const Patch& patch, GradientSums* sums);

/// Gradients of the elements of the patch.
void write_patch_gradients(const BackwardJob& job, const Patch& patch);

}  // namespace laconic::kernel
