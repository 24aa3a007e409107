// Scales that are found of the elements in the same look at memory.
#include <type_traits>

#include "laconic/kernel/cuda/bands.h"
#include "laconic/kernel/cuda/quantized.cuh"

namespace laconic::kernel::cuda {
namespace {

constexpr int kMostPacks = 8;  // of a thread, in registers

/// Runs of few packs: several a block.
template <typename T, GridKind kGrid, bool kZero, bool kMagnitude, int kPacks>
__global__ void __launch_bounds__(kThreads)
    short_found_runs(const FusedJob job, int64_t packs, int shift, int* not_finite) {
  const auto place = short_place<kPacks>(packs, shift);
  const auto* x = static_cast<const T*>(job.x);
  Words<T> held[kPacks] = {};
  RangeKeys keys;
  if (place.is_there) {
#pragma unroll
    for (int k = 0; k < kPacks; ++k)
      held[k] = load_words(x + (place.first + (k << shift)) * Pack<T>::kCount);
#pragma unroll
    for (int k = 0; k < kPacks; ++k)
      keys = with_keys<kMagnitude>(keys, keys_of<kMagnitude>(held[k]));
  }
  keys = shared_keys<kMagnitude>(keys, 1 << shift);
  if (!place.is_there) return;
  const Numbers numbers = numbers_of(keys, job, not_finite);
  if (place.is_first) keep_numbers(job, place.run, numbers);
  if (job.value == nullptr) return;
  const auto run = found_scale<kMagnitude>(numbers, keys);
  auto* value = static_cast<T*>(job.value);
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    store_pack(quantized<true, kGrid, kZero>(unpacked(held[k]), run, job.grid),
               value + (place.first + (k << shift)) * Pack<T>::kCount);
}

/// The numbers of a scale that another lane of the warp has.
__device__ __forceinline__ RunScale<ScalarOps> run_of_lane(const RunScale<ScalarOps>& run,
                                                           int lane) {
  const auto from = [&](auto x) { return __shfl_sync(kAllLanes, x, lane); };
  return {from(run.scale),
          from(run.zero_point),
          {from(run.divisor.scale), from(run.divisor.inverse),
           from(static_cast<int>(run.divisor.is_exact)) != 0}};
}

/// Runs of two packs, two of them for two neighbouring threads: each has a pack of both, so that
/// they read 32 bytes side by side, and finds the numbers of one.
template <typename T, GridKind kGrid, bool kZero, bool kMagnitude>
__global__ void __launch_bounds__(kThreads)
    paired_found_runs(const FusedJob job, int64_t packs, int* not_finite) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int side = threadIdx.x & 1;
  const int64_t first = 2 * (thread - side) + side;
  const auto* x = static_cast<const T*>(job.x);
  Words<T> held[2] = {};
  RangeKeys keys[2];
#pragma unroll
  for (int k = 0; k < 2; ++k)
    if (first + 2 * k < packs) held[k] = load_words(x + (first + 2 * k) * Pack<T>::kCount);
#pragma unroll
  for (int k = 0; k < 2; ++k) keys[k] = shared_keys<kMagnitude>(keys_of<kMagnitude>(held[k]), 2);
  const RangeKeys own = side == 0 ? keys[0] : keys[1];
  const Numbers numbers = numbers_of(own, job, not_finite);
  if (2 * thread < packs) keep_numbers(job, thread, numbers);
  if (job.value == nullptr) return;
  const auto of_own = found_scale<kMagnitude>(numbers, own);
  auto* value = static_cast<T*>(job.value);
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const auto run = run_of_lane(of_own, (threadIdx.x % kWarp - side) + k);
    if (first + 2 * k < packs)
      store_pack(quantized<true, kGrid, kZero>(unpacked(held[k]), run, job.grid),
                 value + (first + 2 * k) * Pack<T>::kCount);
  }
}

/// A block a run, whose packs wait in registers.
template <typename T, GridKind kGrid, bool kZero, bool kMagnitude, int kPacks>
__global__ void __launch_bounds__(kThreads) long_found_runs(const FusedJob job, int* not_finite) {
  const int packs = static_cast<int>(job.runs.group / Pack<T>::kCount);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * job.runs.group;
  const auto* x = static_cast<const T*>(job.x) + begin;
  Words<T> held[kPacks];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int i = k * blockDim.x + threadIdx.x;
    if (i < packs) held[k] = load_words(x + i * Pack<T>::kCount);
  }
  RangeKeys keys;
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    if (k * blockDim.x + threadIdx.x < packs)
      keys = with_keys<kMagnitude>(keys, keys_of<kMagnitude>(held[k]));
  keys = keys_of_block<kMagnitude>(keys);
  const Numbers numbers = numbers_of(keys, job, not_finite);
  if (threadIdx.x == 0) keep_numbers(job, blockIdx.x, numbers);
  if (job.value == nullptr) return;
  const auto run = found_scale<kMagnitude>(numbers, keys);
  auto* value = static_cast<T*>(job.value) + begin;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int i = k * blockDim.x + threadIdx.x;
    if (i < packs)
      store_pack(quantized<true, kGrid, kZero>(unpacked(held[k]), run, job.grid),
                 value + i * Pack<T>::kCount);
  }
}

template <typename T, GridKind kGrid, bool kZero, bool kMagnitude>
void launch_short(const FusedJob& job, ShortRuns runs, int* not_finite, cudaStream_t stream) {
  const int64_t packs = all_packs(job);
  const unsigned count = blocks(packs / runs.packs, kThreads);
  if (runs.packs == 1 && runs.shift == 1)
    paired_found_runs<T, kGrid, kZero, kMagnitude>
        <<<blocks(packs / 2, kThreads), kThreads, 0, stream>>>(job, packs, not_finite);
  else if (runs.packs == 1)
    short_found_runs<T, kGrid, kZero, kMagnitude, 1>
        <<<count, kThreads, 0, stream>>>(job, packs, runs.shift, not_finite);
  else
    short_found_runs<T, kGrid, kZero, kMagnitude, 2>
        <<<count, kThreads, 0, stream>>>(job, packs, runs.shift, not_finite);
}

template <typename T, GridKind kGrid, bool kZero, bool kMagnitude>
void launch_long(const FusedJob& job, int* not_finite, cudaStream_t stream) {
  const auto runs = static_cast<unsigned>(job.runs.runs());
  const int64_t packs = job.runs.group / Pack<T>::kCount;
  // Whole warps, so that no thread waits that holds nothing.
  const int threads =
      packs >= kThreads ? kThreads : static_cast<int>((packs + kWarp - 1) / kWarp * kWarp);
  if (packs <= threads) {
    long_found_runs<T, kGrid, kZero, kMagnitude, 1><<<runs, threads, 0, stream>>>(job, not_finite);
  } else if (packs <= 4 * kThreads) {
    long_found_runs<T, kGrid, kZero, kMagnitude, 4><<<runs, threads, 0, stream>>>(job, not_finite);
  } else {
    long_found_runs<T, kGrid, kZero, kMagnitude, kMostPacks>
        <<<runs, threads, 0, stream>>>(job, not_finite);
  }
}

}  // namespace

bool fits_one_look(const FusedJob& job) {
  if (job.runs.in_bands()) return fits_band_look(job);
  return is_in_packs(job) && job.runs.group / pack_count(job) <= kMostPacks * kThreads;
}

cudaError_t quantize_found(const FusedJob& job, int* not_finite, cudaStream_t stream) {
  if (job.runs.in_bands()) return quantize_found_bands(job, not_finite, stream);
  const ShortRuns runs = short_runs_of(job);
  for_statistic(job, [&](auto of_magnitude) {
    constexpr bool kMagnitude = decltype(of_magnitude)::value;
    for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
      if (runs.shift < 0)
        launch_long<T, kGrid, kZero, kMagnitude>(job, not_finite, stream);
      else
        launch_short<T, kGrid, kZero, kMagnitude>(job, runs, not_finite, stream);
    });
  });
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
