#pragma once

// What the backward kernels share.

#include "laconic/kernel/cuda/backward_loops.h"
#include "laconic/kernel/cuda/short_runs.cuh"

namespace laconic::kernel::cuda {
namespace {

/// The numbers of one scale.
struct ScaleNumbers {
  float zero_point, low, high, low_share, high_share;
  RunScale<ScalarOps> run;
};
__device__ __forceinline__ float number_at(const float* numbers, int64_t scale) {
  return numbers == nullptr ? 0 : numbers[scale];
}
__device__ __forceinline__ ScaleNumbers numbers_of(const BackwardJob& job, int64_t scale) {
  const float zero_point = number_at(job.zero_point, scale);
  return {zero_point,
          number_at(job.low, scale),
          number_at(job.high, scale),
          number_at(job.low_share, scale),
          number_at(job.high_share, scale),
          run_scale<ScalarOps>(job.scale[scale], zero_point)};
}

template <class O, GridKind kGrid, bool kZero>
__device__ __forceinline__ ElementGradient<O> gradient_at(float x, float gradient,
                                                          const RunScale<ScalarOps>& run,
                                                          const BackwardJob& job) {
  return gradient_of<O, kGrid, kZero>(x, gradient, with_ops<O>(run), grid_numbers<O>(job.grid),
                                      job.is_clipped);
}

/// Calls `body.operator()<O>()` with the quickest operations that the scale allows.
template <class Body>
__device__ __forceinline__ auto by_quick_ops(const RunScale<ScalarOps>& run, const Body& body) {
  if (run.divisor.is_exact) return body.template operator()<ExactOps>();
  return body.template operator()<ScalarOps>();
}

/// What an element gets for being an extreme of its scale, beside its own gradient.
__device__ __forceinline__ float with_shares(float own, float x, const BackwardJob& job,
                                             const ScaleNumbers& numbers) {
  if (job.of_magnitude) {
    if (fabsf(x) != numbers.high || x == 0) return own;
    return __fadd_rn(own, x < 0 ? -numbers.high_share : numbers.high_share);
  }
  if (x == numbers.high) own = __fadd_rn(own, numbers.high_share);
  return x == numbers.low ? __fadd_rn(own, numbers.low_share) : own;
}

template <class O, GridKind kGrid, bool kZero>
__device__ __forceinline__ float input_gradient(float x, float gradient, const BackwardJob& job,
                                                const ScaleNumbers& numbers) {
  const float own = gradient_at<O, kGrid, kZero>(x, gradient, numbers.run, job).input;
  return job.high == nullptr ? own : with_shares(own, x, job, numbers);
}
template <class O, GridKind kGrid, bool kZero>
__device__ __forceinline__ void add_number_sums(float x, float gradient, const BackwardJob& job,
                                                const ScaleNumbers& numbers, GradientSums& sums) {
  const auto parts = gradient_at<O, kGrid, kZero>(x, gradient, numbers.run, job);
  sums.scale += parts.scale;
  if constexpr (kZero) sums.zero_point += parts.zero_point;
  if (job.high == nullptr) return;
  sums.high += (job.of_magnitude ? fabsf(x) : x) == numbers.high;
  if (job.low != nullptr) sums.low += x == numbers.low;
}
__device__ __forceinline__ void keep_sums(const GradientSums& sums, int64_t scale,
                                          const SumsOfScales& to) {
  to.scale[scale] = static_cast<float>(sums.scale);
  to.zero_point[scale] = static_cast<float>(sums.zero_point);
  to.low_count[scale] = static_cast<float>(sums.low);
  to.high_count[scale] = static_cast<float>(sums.high);
}

// Sums of neighbouring lanes of a warp, a power of two of them, in all of them.
__device__ __forceinline__ FoundSums shared_sums(FoundSums sums, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    FoundSums other;
    other.scale = __shfl_xor_sync(kAllLanes, sums.scale, step);
    other.magnitude = __shfl_xor_sync(kAllLanes, sums.magnitude, step);
    other.count = __shfl_xor_sync(kAllLanes, sums.count, step);
    sums.add(other);
  }
  return sums;
}
__device__ __forceinline__ GradientSums shared_sums(GradientSums sums, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    GradientSums other;
    other.scale = __shfl_xor_sync(kAllLanes, sums.scale, step);
    other.zero_point = __shfl_xor_sync(kAllLanes, sums.zero_point, step);
    other.low = __shfl_xor_sync(kAllLanes, sums.low, step);
    other.high = __shfl_xor_sync(kAllLanes, sums.high, step);
    sums.add(other);
  }
  return sums;
}

__device__ __forceinline__ CodedScaleSums shared_sums(CodedScaleSums sums, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    CodedScaleSums other;
    other.scale = __shfl_xor_sync(kAllLanes, sums.scale, step);
    other.largest = __shfl_xor_sync(kAllLanes, sums.largest, step);
    other.count = __shfl_xor_sync(kAllLanes, sums.count, step);
    sums.add(other);
  }
  return sums;
}

/// Those of a block, in all of its threads. May be called once in a kernel.
template <class Part>
__device__ __forceinline__ Part sums_of_block(Part sums) {
  __shared__ Part parts[kThreads / kWarp];
  sums = shared_sums(sums, kWarp);
  const int lane = threadIdx.x % kWarp;
  if (lane == 0) parts[threadIdx.x / kWarp] = sums;
  __syncthreads();
  sums = lane < blockDim.x / kWarp ? parts[lane] : Part{};
  return shared_sums(sums, kWarp);
}

template <typename T>
__device__ __forceinline__ bool is_aligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

/// Calls `packs(first element)` and `ones(element)` for what this thread of the block has of a
/// place; elements count from the place's begin.
template <typename T, class OfPack, class OfOne>
__device__ __forceinline__ void for_share_of_block(int64_t count, bool in_packs,
                                                   const OfPack& packs, const OfOne& ones) {
  const int whole = in_packs ? static_cast<int>(count / Pack<T>::kCount) : 0;
#pragma unroll 2
  for (int i = threadIdx.x; i < whole; i += kThreads)
    packs(static_cast<int64_t>(i) * Pack<T>::kCount);
  for (int64_t i = static_cast<int64_t>(whole) * Pack<T>::kCount + threadIdx.x; i < count;
       i += kThreads)
    ones(i);
}

/// The pieces of the scale of this block, added by all of its threads: in the same order in every
/// call.
template <class Part>
__device__ __forceinline__ Part sums_of_scale(const ScaleRuns& runs, const Part* pieces) {
  const int64_t row = blockIdx.x / runs.groups(), group = blockIdx.x % runs.groups(),
                of_run = runs.pieces_of_run(), all = runs.rows / runs.period * of_run;
  Part sums;
  for (int64_t i = threadIdx.x; i < all; i += blockDim.x) {
    const int64_t run = (row + i / of_run * runs.period) * runs.groups() + group;
    sums.add(pieces[run * of_run + i % of_run]);
  }
  return sums_of_block(sums);
}
/// Threads of its block: no more than there are pieces, but a warp.
unsigned threads_of_scale(const ScaleRuns& runs) {
  return runs.rows / runs.period * runs.pieces_of_run() > kWarp ? kThreads : kWarp;
}

/// Calls `body.operator()<T, kGrid>()` for what the job is.
template <typename T, class Body>
void for_grid(const BackwardJob& job, const Body& body) {
  if (job.grid.kind == GridKind::kInteger)
    body.template operator()<T, GridKind::kInteger>();
  else
    body.template operator()<T, GridKind::kMinifloat>();
}
template <class Body>
void for_kind(const BackwardJob& job, const Body& body) {
  if (job.type == ElementType::kFloat)
    for_grid<float>(job, body);
  else
    for_grid<__nv_bfloat16>(job, body);
}

int64_t pack_count(const BackwardJob& job) { return job.type == ElementType::kFloat ? 4 : 8; }
int64_t all_packs(const BackwardJob& job) {
  return job.runs.rows * job.runs.length / pack_count(job);
}

bool is_in_packs(const BackwardJob& job) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return job.runs.period == job.runs.rows && job.runs.length % job.runs.group == 0 &&
         job.runs.group % pack_count(job) == 0 && aligned(job.x) && aligned(job.gradient) &&
         aligned(job.input_gradient);
}

/// log2 of the packs of a run of `most` at most; -1: not a power of two, or more.
int shift_of_packs(const BackwardJob& job, int64_t most) {
  const int64_t packs = job.runs.group / pack_count(job);
  if (!is_in_packs(job) || packs > most || (packs & (packs - 1)) != 0) return -1;
  int shift = 0;
  while (int64_t{1} << shift < packs) ++shift;
  return shift;
}

ShortRuns short_runs_of(const BackwardJob& job) {
  return short_runs(is_in_packs(job), job.runs.group / pack_count(job));
}

}  // namespace
}  // namespace laconic::kernel::cuda
