// Gradients where the scales were found of the largest magnitudes of many pieces, in two looks.
#include "laconic/kernel/cuda/found_parts.cuh"

namespace laconic::kernel::cuda {
namespace {

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
    sums.add(quick_sums<OfMagnitudes, kGrid>(load_pack(x + i), given, run, job));
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
  const ScaleNumbers numbers =
      OfMagnitudes::shares(sums, job.scale[blockIdx.x], static_cast<float>(sums.scale), job);
  high[blockIdx.x] = numbers.high;
  share[blockIdx.x] = numbers.high_share;
}

}  // namespace

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
