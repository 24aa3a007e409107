#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace laconic::kernel::cuda {

/// RoundingColumns as the device's pointers; what is absent is nullptr.
struct ColumnJob {
  float* weight;         ///< [panels, columns, 64]
  const float* current;  ///< [panels, end - begin, 64]
  uint8_t* codes;        ///< [panels, columns, 64]
  const float* scale;    ///< [panels, groups, 64]
  const float* zero_point;
  const int64_t* group;   ///< [columns]
  const float* feedback;  ///< [end, end - begin]
  const float* levels;    ///< [level_count]
  const float* thresholds;
  const int32_t* level_codes;
  int64_t level_count, panels, columns, groups, begin, end;
  float q_min, q_max;
};

/// As kernel/round_columns.h, queued on a stream. @returns the error of the launch.
cudaError_t round_columns(const ColumnJob& job, cudaStream_t stream);

}  // namespace laconic::kernel::cuda
