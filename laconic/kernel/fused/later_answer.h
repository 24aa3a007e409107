#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <vector>

namespace laconic::kernel {

/// Whether all elements were finite that calls on CUDA looked at, asked for when it is convenient:
/// the calls go on without waiting for the device.
class LaterAnswer {
 public:
  LaterAnswer() = default;
  ~LaterAnswer();  ///< waits too: kernels may still write
  LaterAnswer(const LaterAnswer&) = delete;
  LaterAnswer& operator=(const LaterAnswer&) = delete;

  /// Waits for the calls until now.
  bool all_finite();

  /// What a kernel on the device of `x` makes 1 when an element is not finite, on the current
  /// stream of that device.
  int* flag_for(const at::Tensor& x);

 private:
  at::Tensor flag_;  ///< one int of the host, which devices write: no copy is to be waited for
  std::vector<c10::Stream> streams_;
};

}  // namespace laconic::kernel
