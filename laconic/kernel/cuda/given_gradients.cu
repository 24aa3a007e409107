// Gradients of given numbers, and of elements whose numbers have them.
#include <type_traits>

#include "laconic/kernel/cuda/backward_parts.cuh"
#include "laconic/kernel/cuda/bands.h"

namespace laconic::kernel::cuda {
namespace {

template <class O, GridKind kGrid, bool kZero, typename T>
__device__ __forceinline__ void add_number_sums(const Pack<T>& x, const Pack<T>& gradient,
                                                const BackwardJob& job, const ScaleNumbers& numbers,
                                                GradientSums& sums) {
  float scale = 0, zero_point = 0;
  int low = 0, high = 0;
#pragma unroll
  for (int i = 0; i < Pack<T>::kCount; ++i) {
    const float element = x.values[i];
    const auto parts = gradient_at<O, kGrid, kZero>(element, gradient.values[i], numbers.run, job);
    scale += parts.scale;
    if constexpr (kZero) zero_point += parts.zero_point;
    high += (job.of_magnitude ? fabsf(element) : element) == numbers.high;
    low += element == numbers.low;
  }
  sums.add({scale, zero_point, low, high});
}

template <GridKind kGrid, bool kZero, typename T>
__device__ __forceinline__ void add_quickly(const Pack<T>& x, const Pack<T>& gradient,
                                            const BackwardJob& job, const ScaleNumbers& numbers,
                                            GradientSums& sums) {
  by_quick_ops(numbers.run, [&]<class O>() {
    add_number_sums<O, kGrid, kZero>(x, gradient, job, numbers, sums);
  });
}

/// Runs of few packs: several a block.
template <typename T, GridKind kGrid, bool kZero, int kPacks>
__global__ void __launch_bounds__(kThreads)
    short_numbers(const BackwardJob job, int64_t packs, int shift, const SumsOfScales to) {
  const auto place = short_place<kPacks>(packs, shift);
  GradientSums sums;
  if (place.is_there) {
    const ScaleNumbers numbers = numbers_of(job, place.run);
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int64_t begin = (place.first + (k << shift)) * Pack<T>::kCount;
      add_quickly<kGrid, kZero>(load_pack(static_cast<const T*>(job.x) + begin),
                                load_pack(static_cast<const T*>(job.gradient) + begin), job,
                                numbers, sums);
    }
  }
  sums = shared_sums(sums, 1 << shift);
  if (place.is_there && place.is_first) keep_sums(sums, place.run, to);
}

template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads)
    piece_numbers(const BackwardJob job, GradientSums* pieces) {
  const Place place = Places(job.runs, job.runs.pieces_of_run())[blockIdx.x];
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  const auto* gradient = static_cast<const T*>(job.gradient) + place.begin;
  const ScaleNumbers numbers = numbers_of(job, place.scale);
  GradientSums sums;
  const auto of_pack = [&](int64_t i) {
    add_quickly<kGrid, kZero>(load_pack(x + i), load_pack(gradient + i), job, numbers, sums);
  };
  const auto of_one = [&](int64_t i) {
    add_number_sums<ScalarOps, kGrid, kZero>(load_one(x + i), load_one(gradient + i), job, numbers,
                                             sums);
  };
  for_share_of_block<T>(place.count, is_aligned(x) && is_aligned(gradient), of_pack, of_one);
  sums = sums_of_block(sums);
  if (threadIdx.x == 0) pieces[blockIdx.x] = sums;
}

__global__ void numbers_of_scales(const BackwardJob job, const GradientSums* pieces,
                                  const SumsOfScales to) {
  const GradientSums sums = sums_of_scale(job.runs, pieces);
  if (threadIdx.x == 0) keep_sums(sums, blockIdx.x, to);
}

template <typename T, GridKind kGrid, bool kZero>
__device__ __forceinline__ void write_pack(const BackwardJob& job, const ScaleNumbers& numbers,
                                           int64_t begin) {
  const Pack<T> x = load_pack(static_cast<const T*>(job.x) + begin);
  Pack<T> gradient = load_pack(static_cast<const T*>(job.gradient) + begin);
  by_quick_ops(numbers.run, [&]<class O>() {
#pragma unroll
    for (int i = 0; i < Pack<T>::kCount; ++i)
      gradient.values[i] =
          input_gradient<O, kGrid, kZero>(x.values[i], gradient.values[i], job, numbers);
  });
  store_pack(gradient, static_cast<T*>(job.input_gradient) + begin);
}

/// Runs of few packs: a thread a pack.
template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads) pack_inputs(const BackwardJob job, int shift) {
  const int64_t packs = job.runs.rows * job.runs.length / Pack<T>::kCount;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < packs) write_pack<T, kGrid, kZero>(job, numbers_of(job, i >> shift), i * Pack<T>::kCount);
}

/// A block a piece, the last one first: what was looked at last is in the cache still.
template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads) piece_inputs(const BackwardJob job) {
  const int64_t piece = gridDim.x - 1 - blockIdx.x;
  const Place place = Places(job.runs, job.runs.pieces_of_run())[piece];
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  const auto* gradient = static_cast<const T*>(job.gradient) + place.begin;
  auto* to = static_cast<T*>(job.input_gradient) + place.begin;
  const ScaleNumbers numbers = numbers_of(job, place.scale);
  for_share_of_block<T>(
      place.count, is_aligned(x) && is_aligned(gradient) && is_aligned(to),
      [&](int64_t i) { write_pack<T, kGrid, kZero>(job, numbers, place.begin + i); },
      [&](int64_t i) {
        const float own = input_gradient<ScalarOps, kGrid, kZero>(
            load_one(x + i), load_one(gradient + i), job, numbers);
        store_one(own, to + i);
      });
}

__global__ void extremes_of_keys(const RangeKeys* keys, int64_t count, float* low, float* high) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  if (low == nullptr) {
    high[i] = __int_as_float(keys[i].magnitude);
    return;
  }
  low[i] = __int_as_float(ordered_key<ScalarOps>(keys[i].low));
  high[i] = __int_as_float(ordered_key<ScalarOps>(keys[i].high));
}

}  // namespace

cudaError_t write_extremes(const RangeKeys* keys, int64_t scales, float* low, float* high,
                           cudaStream_t stream) {
  extremes_of_keys<<<blocks(scales, kThreads), kThreads, 0, stream>>>(keys, scales, low, high);
  return cudaGetLastError();
}

cudaError_t number_gradients(const BackwardJob& job, GradientSums* pieces, const SumsOfScales& sums,
                             cudaStream_t stream) {
  if (job.runs.in_bands()) return band_number_gradients(job, pieces, sums, stream);
  const ShortRuns runs = short_runs_of(job);
  const int64_t packs = all_packs(job);
  const auto count = static_cast<unsigned>(job.runs.pieces());
  const unsigned all = blocks(packs / runs.packs, kThreads);
  for_kind(job, [&]<typename T, GridKind kGrid>() {
    const auto launch = [&](auto zero) {
      constexpr bool kZero = decltype(zero)::value;
      if (runs.shift < 0)
        piece_numbers<T, kGrid, kZero><<<count, kThreads, 0, stream>>>(job, pieces);
      else if (runs.packs == 1)
        short_numbers<T, kGrid, kZero, 1>
            <<<all, kThreads, 0, stream>>>(job, packs, runs.shift, sums);
      else
        short_numbers<T, kGrid, kZero, 2>
            <<<all, kThreads, 0, stream>>>(job, packs, runs.shift, sums);
    };
    job.zero_point != nullptr ? launch(std::true_type()) : launch(std::false_type());
  });
  if (runs.shift >= 0) return cudaGetLastError();
  numbers_of_scales<<<static_cast<unsigned>(job.runs.scales()), threads_of_scale(job.runs), 0,
                      stream>>>(job, pieces, sums);
  return cudaGetLastError();
}

cudaError_t input_gradients(const BackwardJob& job, cudaStream_t stream) {
  if (job.runs.in_bands()) return band_input_gradients(job, stream);
  const int shift = shift_of_packs(job, kThreads);
  const auto count = static_cast<unsigned>(job.runs.pieces());
  const unsigned all = blocks(all_packs(job), kThreads);
  for_kind(job, [&]<typename T, GridKind kGrid>() {
    const auto launch = [&](auto zero) {
      constexpr bool kZero = decltype(zero)::value;
      if (shift >= 0)
        pack_inputs<T, kGrid, kZero><<<all, kThreads, 0, stream>>>(job, shift);
      else
        piece_inputs<T, kGrid, kZero><<<count, kThreads, 0, stream>>>(job);
    };
    job.zero_point != nullptr ? launch(std::true_type()) : launch(std::false_type());
  });
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
