#include "laconic/kernel/cuda/columns.h"

namespace laconic::kernel::cuda {
namespace {

constexpr int kRows = 64;      // of a panel: threads side by side
constexpr int kBeside = 4;     // threads that share the columns of a row
constexpr int kTogether = 32;  // columns that wait in shared memory while one of them is rounded
constexpr int kEach = kTogether / kBeside;

struct Rounded {
  float element;
  int code;
};

__device__ __forceinline__ Rounded round_units(const ColumnJob& job, float x) {
  if (job.levels == nullptr) {
    const float code = fminf(fmaxf(rintf(x), job.q_min), job.q_max);
    return {code, static_cast<int>(code)};
  }
  int level = 0;
  for (int64_t k = 0; k + 1 < job.level_count; ++k) level += x > job.thresholds[k] ? 1 : 0;
  return {job.levels[level], job.level_codes[level]};
}

/// Rounds column j of a row. @returns what it lost.
__device__ __forceinline__ float round_one(const ColumnJob& job, int64_t panel, int row, int64_t j,
                                           float current) {
  const int64_t at = (panel * job.columns + j) * kRows + row;
  const int64_t number = (panel * job.groups + job.group[j]) * kRows + row;
  const float scale = job.scale[number];
  const float zero = job.zero_point == nullptr ? 0.0F : job.zero_point[number];
  const Rounded rounded = round_units(job, current / scale + zero);
  const float lost = job.weight[at] - (rounded.element - zero) * scale;
  job.weight[at] = lost;
  job.codes[at] = static_cast<uint8_t>(rounded.code & 0xFF);
  return lost;
}

/// The columns [first, first + kTogether) after all those before them.
__device__ __forceinline__ void gather(const ColumnJob& job, int64_t panel, int64_t first,
                                       int64_t last, float (*waiting)[kRows]) {
  const int row = threadIdx.x, beside = threadIdx.y;
  const int64_t width = job.end - job.begin;
  float sums[kEach];
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const int64_t j = first + beside + k * kBeside;
    sums[k] = j < last ? job.current[(panel * width + j - job.begin) * kRows + row] : 0.0F;
  }
  for (int64_t i = job.begin; i < first; ++i) {
    const float lost = job.weight[(panel * job.columns + i) * kRows + row];
    const float* factors = job.feedback + i * width + (first - job.begin) + beside;
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      if (first + beside + k * kBeside < last)
        sums[k] = __fmaf_rn(lost, factors[k * kBeside], sums[k]);
  }
#pragma unroll
  for (int k = 0; k < kEach; ++k) waiting[beside + k * kBeside][row] = sums[k];
}

/// A block of threads a panel.
__global__ void __launch_bounds__(kRows* kBeside) round_panels(const ColumnJob job) {
  __shared__ float waiting[kTogether][kRows];
  __shared__ float lost[kRows];
  const int row = threadIdx.x, beside = threadIdx.y;
  const int64_t panel = blockIdx.x, width = job.end - job.begin;
  for (int64_t first = job.begin; first < job.end; first += kTogether) {
    const int64_t last = first + kTogether < job.end ? first + kTogether : job.end;
    gather(job, panel, first, last, waiting);
    __syncthreads();
    for (int64_t j = first; j < last; ++j) {
      if (beside == 0) lost[row] = round_one(job, panel, row, j, waiting[j - first][row]);
      __syncthreads();
      const float* factors = job.feedback + j * width - job.begin;
      for (int64_t i = j + 1 + beside; i < last; i += kBeside) {
        float& value = waiting[i - first][row];
        value = __fmaf_rn(lost[row], factors[i], value);
      }
      __syncthreads();
    }
  }
}

}  // namespace

cudaError_t round_columns(const ColumnJob& job, cudaStream_t stream) {
  const dim3 threads(kRows, kBeside);
  round_panels<<<static_cast<unsigned>(job.panels), threads, 0, stream>>>(job);
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
