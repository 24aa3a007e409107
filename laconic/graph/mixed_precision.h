#pragma once

#include <ATen/core/ATen_fwd.h>
#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

namespace laconic::graph {

/// While it lives, what this thread runs or records on a kind of device multiplies matrices in
/// bfloat16 (linear layers, attention); sums, norms and what is between blocks stay as they are.
/// Weights are converted once in its life. Gradients of what it recorded go the same way back, also
/// after it, and arrive in the type of the weights. For gradients of which the direction counts.
class MixedPrecision {
 public:
  /// @param enabled  false: nothing changes.
  MixedPrecision(bool enabled, c10::DeviceType device);
  ~MixedPrecision();
  MixedPrecision(const MixedPrecision&) = delete;
  MixedPrecision& operator=(const MixedPrecision&) = delete;

  /// Whether the device has units for it: CUDA of compute capability 8.0 or more, a processor with
  /// AMX-BF16 or AVX512-BF16.
  static bool is_fast(c10::DeviceType device);

 private:
  bool enabled_;
  c10::DeviceType device_;
  at::ScalarType dtype_before_;
};

}  // namespace laconic::graph
