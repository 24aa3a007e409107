// Gradients through scales that rows share.
#include <type_traits>

#include "laconic/kernel/cuda/backward_parts.cuh"
#include "laconic/kernel/cuda/bands.cuh"
#include "laconic/kernel/cuda/bands.h"

namespace laconic::kernel::cuda {
namespace {

/// Sums of the elements of a patch, by scale, into parts[part][scale].
template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads)
    patch_numbers(const BackwardJob job, GradientSums* parts) {
  const Patch patch = patches_of(job.runs)[blockIdx.x];
  const auto thread = thread_of<kFewColumns>(job.runs, patch);
  const auto* x = static_cast<const T*>(job.x);
  const auto* gradient = static_cast<const T*>(job.gradient);
  GradientSums sums;
  if (thread.is_there) {
    const auto numbers =
        numbers_of(job, patch.first_scale + scale_of_column(job.runs, thread.column));
    by_quick_ops(numbers.run, [&]<class O>() {
      for_rows(job.runs, patch, thread, [&](int64_t i) {
        add_number_sums<O, kGrid, kZero>(load_one(x + i), load_one(gradient + i), job, numbers,
                                         sums);
      });
    });
  }
  const auto add = [](GradientSums& to, const GradientSums& other) { to.add(other); };
  const auto across = [](const GradientSums& of, int lanes) { return shared_sums(of, lanes); };
  for_sums_of_scales<kFewColumns>(
      job.runs, patch, sums, add, across, [&](int scale, const GradientSums& sum) {
        parts[patch.part * job.runs.scales() + patch.first_scale + scale] = sum;
      });
}

/// In the same order in every call.
__global__ void sums_of_parts(const GradientSums* parts, int64_t count, int64_t scales,
                              const SumsOfScales to) {
  const int64_t scale = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (scale >= scales) return;
  GradientSums sums;
  for (int64_t i = 0; i < count; ++i) sums.add(parts[i * scales + scale]);
  keep_sums(sums, scale, to);
}

/// The last patch first: what was looked at last is in the cache still.
template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads) patch_inputs(const BackwardJob job) {
  const Patch patch = patches_of(job.runs)[gridDim.x - 1 - blockIdx.x];
  const auto thread = thread_of<kFewColumns>(job.runs, patch);
  if (!thread.is_there) return;
  const auto* x = static_cast<const T*>(job.x);
  const auto* gradient = static_cast<const T*>(job.gradient);
  auto* to = static_cast<T*>(job.input_gradient);
  const auto numbers =
      numbers_of(job, patch.first_scale + scale_of_column(job.runs, thread.column));
  by_quick_ops(numbers.run, [&]<class O>() {
    for_rows(job.runs, patch, thread, [&](int64_t i) {
      store_one(
          input_gradient<O, kGrid, kZero>(load_one(x + i), load_one(gradient + i), job, numbers),
          to + i);
    });
  });
}

}  // namespace

int64_t parts_of_bands(const ScaleRuns& runs) { return patches_of(runs).parts() * runs.scales(); }

cudaError_t band_number_gradients(const BackwardJob& job, GradientSums* parts,
                                  const SumsOfScales& sums, cudaStream_t stream) {
  const Patches patches = patches_of(job.runs);
  const auto count = static_cast<unsigned>(patches.count());
  for_kind(job, [&]<typename T, GridKind kGrid>() {
    if (job.zero_point != nullptr)
      patch_numbers<T, kGrid, true><<<count, kThreads, 0, stream>>>(job, parts);
    else
      patch_numbers<T, kGrid, false><<<count, kThreads, 0, stream>>>(job, parts);
  });
  const int64_t scales = job.runs.scales();
  sums_of_parts<<<blocks(scales, kThreads), kThreads, 0, stream>>>(parts, patches.parts(), scales,
                                                                   sums);
  return cudaGetLastError();
}

cudaError_t band_input_gradients(const BackwardJob& job, cudaStream_t stream) {
  const auto count = static_cast<unsigned>(patches_of(job.runs).count());
  for_kind(job, [&]<typename T, GridKind kGrid>() {
    if (job.zero_point != nullptr)
      patch_inputs<T, kGrid, true><<<count, kThreads, 0, stream>>>(job);
    else
      patch_inputs<T, kGrid, false><<<count, kThreads, 0, stream>>>(job);
  });
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
