// Scales that rows share, found and used.
#include "laconic/kernel/cuda/bands.cuh"
#include "laconic/kernel/cuda/bands.h"
#include "laconic/kernel/cuda/quantized.cuh"

namespace laconic::kernel::cuda {
namespace {

constexpr int kManyColumns = 128;
constexpr int kMostHeld = 32;  // elements of a thread, in registers

/// Calls `of(scale in the patch, keys)` on a thread of each scale.
template <bool kMagnitude, int kColumns, class Of>
__device__ __forceinline__ void for_keys_of_scales(const ScaleRuns& runs, const Patch& patch,
                                                   const RangeKeys& keys, const Of& of) {
  const auto add = [](RangeKeys& to, const RangeKeys& other) {
    to = with_keys<kMagnitude>(to, other);
  };
  const auto across = [](const RangeKeys& x, int lanes) {
    return shared_keys<kMagnitude>(x, lanes);
  };
  for_sums_of_scales<kColumns>(runs, patch, keys, add, across, of);
}

template <bool kFound, GridKind kGrid, bool kZero, typename T>
__device__ __forceinline__ float quantized_one(float x, const RunScale<ScalarOps>& run,
                                               const ElementGrid& grid) {
  using Quick = std::conditional_t<kFound, typename BoundedOpsOf<T>::Ops, ExactOps>;
  const auto by = [&]<class O>() {
    const auto scale = with_ops<O>(run);
    return value_of<O, kZero>(element_of<O, kGrid, kZero>(x, scale, grid_numbers<O>(grid)), scale);
  };
  return run.divisor.is_exact ? by.template operator()<Quick>()
                              : by.template operator()<ScalarOps>();
}

/// A block a patch that is a whole band, whose elements wait in registers.
template <typename T, GridKind kGrid, bool kZero, bool kMagnitude, int kColumns, int kHeld>
__global__ void __launch_bounds__(kColumns* kRowLanes)
    found_bands(const FusedJob job, const Patches patches, int* not_finite) {
  __shared__ Numbers numbers[kColumns];
  __shared__ int32_t magnitudes[kColumns];
  const Patch patch = patches[blockIdx.x];
  const auto thread = thread_of<kColumns>(job.runs, patch);
  const auto* x = static_cast<const T*>(job.x) + thread.first;
  const int64_t stride = kRowLanes * job.runs.length;
  T held[kHeld];
  RangeKeys keys;
#pragma unroll
  for (int k = 0; k < kHeld; ++k)
    if (thread.is_there && thread.row + k * kRowLanes < patch.rows) held[k] = x[k * stride];
#pragma unroll
  for (int k = 0; k < kHeld; ++k)
    if (thread.is_there && thread.row + k * kRowLanes < patch.rows)
      keys = with_keys<kMagnitude>(keys, keys_of<kMagnitude>(load_one(&held[k])));
  for_keys_of_scales<kMagnitude, kColumns>(job.runs, patch, keys,
                                           [&](int scale, RangeKeys of_scale) {
                                             const int64_t at = patch.first_scale + scale;
                                             if (job.runs.is_short(at)) of_scale.add_zero();
                                             numbers[scale] = numbers_of(of_scale, job, not_finite);
                                             magnitudes[scale] = of_scale.magnitude;
                                             keep_numbers(job, at, numbers[scale]);
                                           });
  __syncthreads();
  if (job.value == nullptr || !thread.is_there) return;
  const int own = scale_of_column(job.runs, thread.column);
  keys.magnitude = magnitudes[own];
  const auto run = found_scale<kMagnitude>(numbers[own], keys);
  auto* value = static_cast<T*>(job.value) + thread.first;
#pragma unroll
  for (int k = 0; k < kHeld; ++k)
    if (thread.row + k * kRowLanes < patch.rows)
      store_one(quantized_one<true, kGrid, kZero, T>(load_one(&held[k]), run, job.grid),
                value + k * stride);
}

template <typename T, bool kMagnitude>
__global__ void __launch_bounds__(kThreads) patch_keys(const FusedJob job, RangeKeys* scales) {
  const Patch patch = patches_of(job.runs)[blockIdx.x];
  const auto thread = thread_of<kFewColumns>(job.runs, patch);
  const auto* x = static_cast<const T*>(job.x);
  RangeKeys keys;
  for_rows(job.runs, patch, thread, [&](int64_t i) {
    keys = with_keys<kMagnitude>(keys, keys_of<kMagnitude>(load_one(x + i)));
  });
  for_keys_of_scales<kMagnitude, kFewColumns>(job.runs, patch, keys,
                                              [&](int scale, RangeKeys of_scale) {
                                                const int64_t at = patch.first_scale + scale;
                                                if (job.runs.is_short(at)) of_scale.add_zero();
                                                add_keys<kMagnitude>(of_scale, &scales[at]);
                                              });
}

/// The last patch first: what was looked at last is in the cache still.
template <typename T, GridKind kGrid, bool kZero, bool kFound>
__global__ void __launch_bounds__(kThreads) given_patches(const FusedJob job) {
  const Patch patch = patches_of(job.runs)[gridDim.x - 1 - blockIdx.x];
  const auto thread = thread_of<kFewColumns>(job.runs, patch);
  if (!thread.is_there) return;
  const int64_t scale = patch.first_scale + scale_of_column(job.runs, thread.column);
  const float zero_point = kZero ? job.numbers.zero_point[scale] : 0;
  const auto run = run_scale<ScalarOps>(job.numbers.scale[scale], zero_point);
  const auto* x = static_cast<const T*>(job.x);
  auto* value = static_cast<T*>(job.value);
  for_rows(job.runs, patch, thread, [&](int64_t i) {
    store_one(quantized_one<kFound, kGrid, kZero, T>(load_one(x + i), run, job.grid), value + i);
  });
}

/// Whole bands; columns enough for a run.
Patches whole_bands(const ScaleRuns& runs) {
  return {runs, runs.band, runs.group <= kFewColumns ? kFewColumns : kManyColumns};
}

template <typename T, GridKind kGrid, bool kZero, bool kMagnitude, int kColumns>
void launch_found(const FusedJob& job, int* not_finite, cudaStream_t stream) {
  constexpr int kAll = kColumns * kRowLanes;
  const Patches patches = whole_bands(job.runs);
  const auto count = static_cast<unsigned>(patches.count());
  const int64_t held = (job.runs.band + kRowLanes - 1) / kRowLanes;
  if (held <= 4)
    found_bands<T, kGrid, kZero, kMagnitude, kColumns, 4>
        <<<count, kAll, 0, stream>>>(job, patches, not_finite);
  else if (held <= 16)
    found_bands<T, kGrid, kZero, kMagnitude, kColumns, 16>
        <<<count, kAll, 0, stream>>>(job, patches, not_finite);
  else
    found_bands<T, kGrid, kZero, kMagnitude, kColumns, kMostHeld>
        <<<count, kAll, 0, stream>>>(job, patches, not_finite);
}

}  // namespace

bool fits_band_look(const FusedJob& job) {
  return job.runs.group <= kManyColumns && job.runs.band <= kMostHeld * kRowLanes;
}

cudaError_t quantize_found_bands(const FusedJob& job, int* not_finite, cudaStream_t stream) {
  for_statistic(job, [&](auto of_magnitude) {
    constexpr bool kMagnitude = decltype(of_magnitude)::value;
    for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
      if (job.runs.group <= kFewColumns)
        launch_found<T, kGrid, kZero, kMagnitude, kFewColumns>(job, not_finite, stream);
      else
        launch_found<T, kGrid, kZero, kMagnitude, kManyColumns>(job, not_finite, stream);
    });
  });
  return cudaGetLastError();
}

void add_band_keys(const FusedJob& job, RangeKeys* keys, cudaStream_t stream) {
  const auto count = static_cast<unsigned>(patches_of(job.runs).count());
  for_statistic(job, [&](auto of_magnitude) {
    constexpr bool kMagnitude = decltype(of_magnitude)::value;
    if (job.type == ElementType::kFloat)
      patch_keys<float, kMagnitude><<<count, kThreads, 0, stream>>>(job, keys);
    else
      patch_keys<__nv_bfloat16, kMagnitude><<<count, kThreads, 0, stream>>>(job, keys);
  });
}

cudaError_t quantize_given_bands(const FusedJob& job, cudaStream_t stream) {
  const auto count = static_cast<unsigned>(patches_of(job.runs).count());
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    if (job.is_finite)
      given_patches<T, kGrid, kZero, true><<<count, kThreads, 0, stream>>>(job);
    else
      given_patches<T, kGrid, kZero, false><<<count, kThreads, 0, stream>>>(job);
  });
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
