#pragma once

#include <cuda_runtime_api.h>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel::cuda {

// Backward passes of whole tensors, queued on a stream. All pointers are the device's. Each returns
// the error of its launches.

/// What the elements of a scale give back, its largest magnitude, and how many elements have it.
struct FoundSums {
  double scale = 0;
  int32_t magnitude = 0;
  int32_t count = 0;
  /// Wherever several are added, their order is the same in every call.
  __host__ __device__ void add(const FoundSums& other) {
    scale += other.scale;
    if (other.magnitude == magnitude) count += other.count;
    if (other.magnitude > magnitude) magnitude = other.magnitude, count = other.count;
  }
};

/// Extremes as floats, [scales]; `low` may be nullptr, then `high` is of magnitudes.
cudaError_t write_extremes(const RangeKeys* keys, int64_t scales, float* low, float* high,
                           cudaStream_t stream);

/// Whether `found_gradients` knows the job: runs of their own, of 16 bytes or a multiple, that a
/// block of threads holds.
bool fits_one_look(const BackwardJob& job);
cudaError_t found_gradients(const BackwardJob& job, cudaStream_t stream);

/// Where the scales were coded: what the blocks of threads found of them, [blocks_of_one_look], and
/// their sum once it is known.
struct CodePass {
  CodedScaleSums* blocks = nullptr;
  const CodedScaleSums* all = nullptr;  ///< nullptr: the blocks' sums are written
};
int64_t blocks_of_one_look(const BackwardJob& job);
/// As found_gradients. The second pass, when `all` is known, touches only the blocks with the
/// largest scales.
cudaError_t coded_gradients(const BackwardJob& job, const CodePass& pass, cudaStream_t stream);
cudaError_t sum_coded(const CodedScaleSums* blocks, int64_t count, CodedScaleSums* all,
                      cudaStream_t stream);

/// Sums of the pieces, then by the job's rule the largest magnitude of each scale and the share of
/// an element that has it: [scales] each.
cudaError_t found_shares(const BackwardJob& job, FoundSums* pieces, float* high, float* share,
                         cudaStream_t stream);

/// Where the sums of each scale go, [scales].
struct SumsOfScales {
  float *scale, *zero_point, *low_count, *high_count;
};
/// @param pieces  room for the sums of the pieces
cudaError_t number_gradients(const BackwardJob& job, GradientSums* pieces, const SumsOfScales& sums,
                             cudaStream_t stream);

cudaError_t input_gradients(const BackwardJob& job, cudaStream_t stream);

}  // namespace laconic::kernel::cuda
