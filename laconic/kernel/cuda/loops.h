#pragma once

#include <cuda_runtime_api.h>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel::cuda {

// As kernel/fused/loops.h, for whole tensors, queued on a stream. All pointers are the device's.
// Each returns the error of its launches. `not_finite` becomes 1 when an element is NaN or
// infinite.

/// Whether `quantize_found` knows the job: runs of their own, of 16 bytes or a multiple, that a
/// block of threads holds.
bool fits_one_look(const FusedJob& job);
cudaError_t quantize_found(const FusedJob& job, int* not_finite, cudaStream_t stream);

/// Extremes of every scale into keys[0 ... scales), which it first resets.
cudaError_t find_keys(const FusedJob& job, RangeKeys* keys, cudaStream_t stream);
/// Numbers of the extremes into job.numbers.
cudaError_t find_numbers(const FusedJob& job, const RangeKeys* keys, int* not_finite,
                         cudaStream_t stream);
/// The scale, by `of_scales`, of the scale that the job's rule gives for one key.
cudaError_t find_scale_of_scales(const FusedJob& job, const RangeKeys* keys,
                                 const RangeRule& of_scales, float* scale, int* not_finite,
                                 cudaStream_t stream);
cudaError_t quantize_given(const FusedJob& job, cudaStream_t stream);

}  // namespace laconic::kernel::cuda
