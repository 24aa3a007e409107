// Extremes of every scale, and the numbers of these.
#include "laconic/kernel/cuda/bands.h"
#include "laconic/kernel/cuda/quantized.cuh"

namespace laconic::kernel::cuda {
namespace {

__global__ void reset_keys(RangeKeys* keys, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) keys[i] = RangeKeys{};
}

/// Runs of few packs: several a block.
template <typename T, bool kMagnitude, int kPacks>
__global__ void __launch_bounds__(kThreads)
    short_keys(const FusedJob job, int64_t packs, int shift, RangeKeys* to) {
  const auto place = short_place<kPacks>(packs, shift);
  RangeKeys keys;
  if (place.is_there) {
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int64_t pack = place.first + (k << shift);
      const auto words = load_first(static_cast<const T*>(job.x) + pack * Pack<T>::kCount);
      keys = with_keys<kMagnitude>(keys, keys_of<kMagnitude>(words));
    }
  }
  keys = shared_keys<kMagnitude>(keys, 1 << shift);
  if (place.is_there && place.is_first) to[place.run] = keys;
}

/// A block a piece; several pieces may add to one scale.
template <typename T, bool kMagnitude>
__global__ void __launch_bounds__(kThreads) piece_keys(const FusedJob job, RangeKeys* scales) {
  const Place place = Places(job.runs, job.runs.pieces_of_run())[blockIdx.x];
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  RangeKeys keys;
  int64_t done = 0;
  if (reinterpret_cast<uintptr_t>(x) % 16 == 0) {
    const int packs = static_cast<int>(place.count / Pack<T>::kCount);
#pragma unroll 4
    for (int i = threadIdx.x; i < packs; i += kThreads)
      keys = with_keys<kMagnitude>(keys, keys_of<kMagnitude>(load_first(x + i * Pack<T>::kCount)));
    done = static_cast<int64_t>(packs) * Pack<T>::kCount;
  }
  for (int64_t i = done + threadIdx.x; i < place.count; i += kThreads)
    keys = with_keys<kMagnitude>(keys, keys_of<kMagnitude>(load_one(x + i)));
  keys = keys_of_block<kMagnitude>(keys);
  if (threadIdx.x != 0) return;
  const bool is_short = (blockIdx.x / job.runs.pieces_of_run() + 1) % job.runs.groups() == 0 &&
                        job.runs.length % job.runs.group != 0;
  if (is_short) keys.add_zero();
  add_keys<kMagnitude>(keys, &scales[place.scale]);
}

__global__ void all_numbers(const FusedJob job, const RangeKeys* keys, int* not_finite) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= job.runs.scales()) return;
  const Numbers numbers = numbers_of(keys[i], job, not_finite);
  if (job.numbers.scale != nullptr) job.numbers.scale[i] = numbers.scale;
  if (job.numbers.zero_point != nullptr) job.numbers.zero_point[i] = numbers.zero_point;
}

__global__ void scale_of_largest(const FusedJob job, const RangeKeys* keys,
                                 const RangeRule of_scales, float* scale, int* not_finite) {
  FusedJob above;
  above.rule = of_scales;
  const int32_t key = __float_as_int(numbers_of(*keys, job, not_finite).scale);
  *scale = numbers_of({0, key, key}, above, not_finite).scale;
}

template <typename T, bool kMagnitude>
void launch_keys(const FusedJob& job, RangeKeys* keys, cudaStream_t stream) {
  const ShortRuns runs = short_runs_of(job);
  const int64_t packs = all_packs(job);
  const unsigned count = blocks(packs / runs.packs, kThreads);
  if (runs.shift >= 0 && runs.packs == 1) {
    short_keys<T, kMagnitude, 1><<<count, kThreads, 0, stream>>>(job, packs, runs.shift, keys);
  } else if (runs.shift >= 0) {
    short_keys<T, kMagnitude, 2><<<count, kThreads, 0, stream>>>(job, packs, runs.shift, keys);
  } else {
    const int64_t scales = job.runs.scales();
    reset_keys<<<blocks(scales, kThreads), kThreads, 0, stream>>>(keys, scales);
    if (job.runs.in_bands()) return add_band_keys(job, keys, stream);
    const auto pieces = static_cast<unsigned>(job.runs.pieces());
    piece_keys<T, kMagnitude><<<pieces, kThreads, 0, stream>>>(job, keys);
  }
}

}  // namespace

cudaError_t find_keys(const FusedJob& job, RangeKeys* keys, cudaStream_t stream) {
  for_statistic(job, [&](auto of_magnitude) {
    constexpr bool kMagnitude = decltype(of_magnitude)::value;
    if (job.type == ElementType::kFloat)
      launch_keys<float, kMagnitude>(job, keys, stream);
    else
      launch_keys<__nv_bfloat16, kMagnitude>(job, keys, stream);
  });
  return cudaGetLastError();
}

cudaError_t find_numbers(const FusedJob& job, const RangeKeys* keys, int* not_finite,
                         cudaStream_t stream) {
  all_numbers<<<blocks(job.runs.scales(), kThreads), kThreads, 0, stream>>>(job, keys, not_finite);
  return cudaGetLastError();
}

cudaError_t find_scale_of_scales(const FusedJob& job, const RangeKeys* keys,
                                 const RangeRule& of_scales, float* scale, int* not_finite,
                                 cudaStream_t stream) {
  scale_of_largest<<<1, 1, 0, stream>>>(job, keys, of_scales, scale, not_finite);
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
