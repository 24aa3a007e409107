#pragma once

#include <cuda_runtime_api.h>

#include "laconic/kernel/cuda/backward_loops.h"
#include "laconic/kernel/fused/job.h"

namespace laconic::kernel::cuda {

// Runs in bands of rows (ScaleRuns::in_bands): what loops.h and backward_loops.h do for the others.
// A thread has a column of a patch, or some of its rows.

/// Whether a block of threads holds a whole band of some columns.
bool fits_band_look(const FusedJob& job);
cudaError_t quantize_found_bands(const FusedJob& job, int* not_finite, cudaStream_t stream);

/// Extremes into keys that were reset.
void add_band_keys(const FusedJob& job, RangeKeys* keys, cudaStream_t stream);
cudaError_t quantize_given_bands(const FusedJob& job, cudaStream_t stream);

/// Gradient sums of parts of the scales that `band_number_gradients` has room for.
int64_t parts_of_bands(const ScaleRuns& runs);
cudaError_t band_number_gradients(const BackwardJob& job, GradientSums* parts,
                                  const SumsOfScales& sums, cudaStream_t stream);
cudaError_t band_input_gradients(const BackwardJob& job, cudaStream_t stream);

}  // namespace laconic::kernel::cuda
