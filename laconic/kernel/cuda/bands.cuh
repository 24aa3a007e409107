#pragma once

// What the kernels for runs in bands share.

#include "laconic/kernel/cuda/short_runs.cuh"
#include "laconic/kernel/fused/patches.h"

namespace laconic::kernel::cuda {
namespace {

constexpr int kRowLanes = 4;      // threads that share a column of a patch
constexpr int kFewColumns = 64;   // of a patch
constexpr int kPatchHeight = 64;  // rows, where a band is more than one patch

/// Patches for blocks of kThreads threads.
__host__ __device__ constexpr Patches patches_of(const ScaleRuns& runs) {
  return {runs, kPatchHeight, kFewColumns};
}

/// Where a thread of a block works: a column of the patch, and every kRowLanes-th row from `row`.
struct PatchThread {
  int column, row;
  bool is_there;
  int64_t first;  ///< element
};
template <int kColumns>
__device__ __forceinline__ PatchThread thread_of(const ScaleRuns& runs, const Patch& patch) {
  const int column = threadIdx.x % kColumns, row = threadIdx.x / kColumns;
  return {column, row, column < patch.columns,
          (patch.first_row + row) * runs.length + patch.first_column + column};
}

/// Calls `of(element)` for the rows of this thread.
template <class Of>
__device__ __forceinline__ void for_rows(const ScaleRuns& runs, const Patch& patch,
                                         const PatchThread& thread, const Of& of) {
  if (!thread.is_there) return;
  int64_t i = thread.first;
#pragma unroll 4
  for (int row = thread.row; row < patch.rows; row += kRowLanes, i += kRowLanes * runs.length)
    of(i);
}

/// Neighbouring columns, a power of two up to a warp, that lie in one run wherever it is cut.
__device__ __forceinline__ int columns_together(const ScaleRuns& runs) {
  const auto group = static_cast<uint32_t>(runs.group);
  const uint32_t power = group & (0 - group);
  return power < kWarp ? static_cast<int>(power) : kWarp;
}

/// The scale of a column of a patch, counted in it.
__device__ __forceinline__ int scale_of_column(const ScaleRuns& runs, int column) {
  return column / static_cast<int>(runs.group);
}
__device__ __forceinline__ int scales_of(const ScaleRuns& runs, const Patch& patch) {
  const int group = static_cast<int>(runs.group);
  return static_cast<int>((patch.columns + group - 1) / group);
}

/// What the threads of a block found, added up by scale: one thread of each scale calls
/// `of(scale in the patch, sum)`. `add(a, b)` adds; `across(x, lanes)` sums neighbouring lanes.
template <int kColumns, class Part, class Add, class Across, class Of>
__device__ __forceinline__ void for_sums_of_scales(const ScaleRuns& runs, const Patch& patch,
                                                   Part part, const Add& add, const Across& across,
                                                   const Of& of) {
  __shared__ Part parts[kRowLanes][kColumns];
  const int column = threadIdx.x % kColumns, row = threadIdx.x / kColumns;
  parts[row][column] = part;
  __syncthreads();
  const int together = columns_together(runs);
  if (row == 0) {
    for (int i = 1; i < kRowLanes; ++i) add(part, parts[i][column]);
    parts[0][column] = across(part, together);
  }
  __syncthreads();
  const int scale = threadIdx.x, group = static_cast<int>(runs.group);
  if (scale >= scales_of(runs, patch)) return;
  const int begin = scale * group;
  const int end = begin + group < patch.columns ? begin + group : static_cast<int>(patch.columns);
  Part sum = parts[0][begin];
  for (int i = begin + together; i < end; i += together) add(sum, parts[0][i]);
  of(scale, sum);
}

}  // namespace
}  // namespace laconic::kernel::cuda
