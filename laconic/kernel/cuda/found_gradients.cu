// Gradients where the scales were found of the largest magnitudes.
#include "laconic/kernel/cuda/backward_parts.cuh"

namespace laconic::kernel::cuda {
namespace {

/// What the elements of a pack give back; each one's gradient becomes that of its input.
template <class O, GridKind kGrid, typename T>
__device__ __forceinline__ FoundSums found_sums(const Pack<T>& x, Pack<T>& gradient,
                                                const RunScale<ScalarOps>& run,
                                                const BackwardJob& job) {
  FoundSums sums;
  float scale = 0;
#pragma unroll
  for (int i = 0; i < Pack<T>::kCount; ++i) {
    const auto parts = gradient_at<O, kGrid, false>(x.values[i], gradient.values[i], run, job);
    gradient.values[i] = parts.input;
    scale += parts.scale;
    const int32_t bits = magnitude_bits<ScalarOps>(x.values[i]);
    sums.count = bits > sums.magnitude ? 1 : sums.count + (bits == sums.magnitude);
    sums.magnitude = bits > sums.magnitude ? bits : sums.magnitude;
  }
  sums.scale = scale;
  return sums;
}

__device__ __forceinline__ float found_share(const BackwardJob& job, const FoundSums& sums,
                                             float scale) {
  const float largest = __int_as_float(sums.magnitude);
  return static_cast<float>(sums.scale) * slope_of_scale(job.rule, scale, largest) /
         static_cast<float>(sums.count);
}

template <typename T>
__device__ __forceinline__ void store_found(const Pack<T>& x, Pack<T> gradient,
                                            const BackwardJob& job, const FoundSums& sums,
                                            float scale, T* to) {
  ScaleNumbers numbers = {};
  numbers.high = __int_as_float(sums.magnitude);
  numbers.high_share = found_share(job, sums, scale);
#pragma unroll
  for (int i = 0; i < Pack<T>::kCount; ++i)
    gradient.values[i] = with_shares(gradient.values[i], x.values[i], job, numbers);
  store_pack(gradient, to);
}

template <GridKind kGrid, typename T>
__device__ __forceinline__ FoundSums quick_sums(const Pack<T>& x, Pack<T>& gradient,
                                                const RunScale<ScalarOps>& run,
                                                const BackwardJob& job) {
  return by_quick_ops(run, [&]<class O>() { return found_sums<O, kGrid>(x, gradient, run, job); });
}

/// Runs of few packs: several a block.
template <typename T, GridKind kGrid, int kPacks>
__global__ void __launch_bounds__(kThreads)
    short_found(const BackwardJob job, int64_t packs, int shift) {
  const auto place = short_place<kPacks>(packs, shift);
  const auto at = [&](int k) { return (place.first + (k << shift)) * Pack<T>::kCount; };
  Pack<T> x[kPacks] = {}, gradient[kPacks] = {};
  float scale = 1;
  if (place.is_there) {
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      x[k] = load_pack(static_cast<const T*>(job.x) + at(k));
      gradient[k] = load_pack(static_cast<const T*>(job.gradient) + at(k));
    }
    scale = job.scale[place.run];
  }
  const auto run = run_scale<ScalarOps>(scale, 0);
  FoundSums sums;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) sums.add(quick_sums<kGrid>(x[k], gradient[k], run, job));
  sums = shared_sums(sums, 1 << shift);
  if (!place.is_there) return;
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    store_found(x[k], gradient[k], job, sums, scale, static_cast<T*>(job.input_gradient) + at(k));
}

/// A block a run, whose packs wait in registers.
template <typename T, GridKind kGrid, int kPacks>
__global__ void __launch_bounds__(kThreads) long_found(const BackwardJob job) {
  const int packs = static_cast<int>(job.runs.group / Pack<T>::kCount);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * job.runs.group;
  const auto at = [&](int k) {
    return k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
  };
  Pack<T> x[kPacks], gradient[kPacks];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    if (at(k) >= packs) continue;
    x[k] = load_pack(static_cast<const T*>(job.x) + begin + at(k) * Pack<T>::kCount);
    gradient[k] = load_pack(static_cast<const T*>(job.gradient) + begin + at(k) * Pack<T>::kCount);
  }
  const float scale = job.scale[blockIdx.x];
  const auto run = run_scale<ScalarOps>(scale, 0);
  FoundSums sums;
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    if (at(k) < packs) sums.add(quick_sums<kGrid>(x[k], gradient[k], run, job));
  sums = sums_of_block(sums);
  auto* to = static_cast<T*>(job.input_gradient) + begin;
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    if (at(k) < packs)
      store_found(x[k], gradient[k], job, sums, scale, to + at(k) * Pack<T>::kCount);
}

/// A block a piece.
template <typename T, GridKind kGrid>
__global__ void __launch_bounds__(kThreads) piece_found(const BackwardJob job, FoundSums* pieces) {
  const Place place = Places(job.runs, job.runs.pieces_of_run())[blockIdx.x];
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  const auto* gradient = static_cast<const T*>(job.gradient) + place.begin;
  const auto run = run_scale<ScalarOps>(job.scale[place.scale], 0);
  FoundSums sums;
  const auto of_pack = [&](int64_t i) {
    Pack<T> given = load_pack(gradient + i);
    sums.add(quick_sums<kGrid>(load_pack(x + i), given, run, job));
  };
  const auto of_one = [&](int64_t i) {
    const float element = load_one(x + i);
    const auto parts =
        gradient_at<ScalarOps, kGrid, false>(element, load_one(gradient + i), run, job);
    sums.add({parts.scale, magnitude_bits<ScalarOps>(element), 1});
  };
  for_share_of_block<T>(place.count, is_aligned(x) && is_aligned(gradient), of_pack, of_one);
  sums = sums_of_block(sums);
  if (threadIdx.x == 0) pieces[blockIdx.x] = sums;
}

__global__ void shares_of_scales(const BackwardJob job, const FoundSums* pieces, float* high,
                                 float* share) {
  const FoundSums sums = sums_of_scale(job.runs, pieces);
  if (threadIdx.x != 0) return;
  high[blockIdx.x] = __int_as_float(sums.magnitude);
  share[blockIdx.x] = found_share(job, sums, job.scale[blockIdx.x]);
}

/// Packs of a run, of x and of the gradient, that a thread holds at most.
int64_t most_packs(const BackwardJob& job) { return job.type == ElementType::kFloat ? 8 : 4; }

template <typename T, GridKind kGrid>
void launch_long(const BackwardJob& job, cudaStream_t stream) {
  const auto runs = static_cast<unsigned>(job.runs.runs());
  const int64_t packs = job.runs.group / Pack<T>::kCount;
  const int threads =
      packs >= kThreads ? kThreads : static_cast<int>((packs + kWarp - 1) / kWarp * kWarp);
  if (packs <= threads)
    long_found<T, kGrid, 1><<<runs, threads, 0, stream>>>(job);
  else if (packs <= 4 * kThreads)
    long_found<T, kGrid, 4><<<runs, threads, 0, stream>>>(job);
  else if constexpr (sizeof(T) == sizeof(float))  // see most_packs
    long_found<T, kGrid, 8><<<runs, threads, 0, stream>>>(job);
}

}  // namespace

bool fits_one_look(const BackwardJob& job) {
  return is_in_packs(job) && job.runs.group / pack_count(job) <= most_packs(job) * kThreads;
}

cudaError_t found_gradients(const BackwardJob& job, cudaStream_t stream) {
  const ShortRuns runs = short_runs_of(job);
  const int64_t packs = all_packs(job);
  const unsigned count = blocks(packs / runs.packs, kThreads);
  for_kind(job, [&]<typename T, GridKind kGrid>() {
    if (runs.shift < 0)
      launch_long<T, kGrid>(job, stream);
    else if (runs.packs == 1)
      short_found<T, kGrid, 1><<<count, kThreads, 0, stream>>>(job, packs, runs.shift);
    else
      short_found<T, kGrid, 2><<<count, kThreads, 0, stream>>>(job, packs, runs.shift);
  });
  return cudaGetLastError();
}

cudaError_t found_shares(const BackwardJob& job, FoundSums* pieces, float* high, float* share,
                         cudaStream_t stream) {
  const auto count = static_cast<unsigned>(job.runs.pieces());
  for_kind(job, [&]<typename T, GridKind kGrid>() {
    piece_found<T, kGrid><<<count, kThreads, 0, stream>>>(job, pieces);
  });
  shares_of_scales<<<static_cast<unsigned>(job.runs.scales()), threads_of_scale(job.runs), 0,
                     stream>>>(job, pieces, high, share);
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
