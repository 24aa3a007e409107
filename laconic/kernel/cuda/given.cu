// Numbers that are there.
#include "laconic/kernel/cuda/bands.h"
#include "laconic/kernel/cuda/quantized.cuh"

namespace laconic::kernel::cuda {
namespace {

/// A block a piece, the last one first: what was looked at last is in the cache still.
template <typename T, GridKind kGrid, bool kZero, bool kFound>
__global__ void __launch_bounds__(kThreads) given_pieces(const FusedJob job) {
  const int64_t piece = gridDim.x - 1 - blockIdx.x;
  const Place place = Places(job.runs, job.runs.pieces_of_run())[piece];
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  auto* value = static_cast<T*>(job.value) + place.begin;
  const float zero_point = kZero ? job.numbers.zero_point[place.scale] : 0;
  const auto run = run_scale<ScalarOps>(job.numbers.scale[place.scale], zero_point);
  int64_t done = 0;
  if (reinterpret_cast<uintptr_t>(x) % 16 == 0 && reinterpret_cast<uintptr_t>(value) % 16 == 0) {
    const int packs = static_cast<int>(place.count / Pack<T>::kCount);
#pragma unroll 4
    for (int i = threadIdx.x; i < packs; i += kThreads)
      store_pack(quantized<kFound, kGrid, kZero>(load_pack(x + i * Pack<T>::kCount), run, job.grid),
                 value + i * Pack<T>::kCount);
    done = static_cast<int64_t>(packs) * Pack<T>::kCount;
  }
  for (int64_t i = done + threadIdx.x; i < place.count; i += kThreads)
    store_one(
        value_of<ScalarOps, kZero>(element_of<ScalarOps, kGrid, kZero>(
                                       load_one(x + i), run, grid_numbers<ScalarOps>(job.grid)),
                                   run),
        value + i);
}

/// Runs of few packs: a thread a pack.
template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads)
    given_packs(const FusedJob job, int64_t packs, uint32_t packs_of_run) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= packs) return;
  const int64_t scale =
      packs <= UINT32_MAX ? static_cast<uint32_t>(i) / packs_of_run : i / packs_of_run;
  const float zero_point = kZero ? job.numbers.zero_point[scale] : 0;
  const auto run = run_scale<ScalarOps>(job.numbers.scale[scale], zero_point);
  store_pack(quantized<false, kGrid, kZero>(
                 load_pack(static_cast<const T*>(job.x) + i * Pack<T>::kCount), run, job.grid),
             static_cast<T*>(job.value) + i * Pack<T>::kCount);
}

}  // namespace

cudaError_t quantize_given(const FusedJob& job, cudaStream_t stream) {
  if (job.runs.in_bands()) return quantize_given_bands(job, stream);
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    const int64_t packs = job.runs.group / Pack<T>::kCount;
    const auto pieces = static_cast<unsigned>(job.runs.pieces());
    if (is_in_packs(job) && packs <= kThreads)
      given_packs<T, kGrid, kZero><<<blocks(all_packs(job), kThreads), kThreads, 0, stream>>>(
          job, all_packs(job), static_cast<uint32_t>(packs));
    else if (job.is_finite)
      given_pieces<T, kGrid, kZero, true><<<pieces, kThreads, 0, stream>>>(job);
    else
      given_pieces<T, kGrid, kZero, false><<<pieces, kThreads, 0, stream>>>(job);
  });
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
