#pragma once

// Runs of so few packs that several share a block of threads.

#include "laconic/kernel/cuda/packs.cuh"

namespace laconic::kernel::cuda {

constexpr int kThreads = 256;

inline unsigned blocks(int64_t count, int64_t threads) {
  return static_cast<unsigned>((count + threads - 1) / threads);
}

/// Runs of 2^shift neighbouring threads, each with `packs` packs of them.
struct ShortRuns {
  int shift = -1;  ///< -1: runs are not a power of two of packs, or do not fit a warp
  int packs = 1;   ///< 1 or 2
};
inline ShortRuns short_runs(bool is_in_packs, int64_t packs) {
  if (!is_in_packs || packs > 2 * kWarp || (packs & (packs - 1)) != 0) return {};
  // Two, so that what a run needs once is done by half as many threads.
  ShortRuns runs{0, packs >= 4 ? 2 : 1};
  while ((int64_t{runs.packs} << runs.shift) < packs) ++runs.shift;
  return runs;
}

/// Where a thread of short runs reads and writes: pack k at `first + (k << shift)`.
struct ShortPlace {
  int64_t run, first;
  bool is_there, is_first;  ///< first: of its run
};
template <int kPacks>
__device__ __forceinline__ ShortPlace short_place(int64_t packs, int shift) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int lane = threadIdx.x & ((1 << shift) - 1);
  return {thread >> shift, (thread - lane) * kPacks + lane, thread * kPacks < packs, lane == 0};
}

}  // namespace laconic::kernel::cuda
