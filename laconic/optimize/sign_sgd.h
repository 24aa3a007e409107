#pragma once

#include <ATen/core/Tensor.h>

namespace laconic::optimize {

struct SignSgdOptions {
  double momentum = 0;      ///< share of the running sum of gradients that is kept, in [0, 1)
  double weight_decay = 0;  ///< share of the parameter that is added to its gradient
};

/// Signed gradient descent of one parameter: p -= rate * sign(m), m = momentum * m + gradient +
/// weight_decay * p. Paper: Bernstein et al. 2018, arXiv:1802.04434.
class SignSgd {
 public:
  /// @throws c10::ValueError for a momentum outside of [0, 1) or a negative decay.
  explicit SignSgd(const SignSgdOptions& options = {});

  /// @param parameter  changed in place.
  /// @throws c10::ValueError for a gradient of another shape.
  void step(at::Tensor& parameter, const at::Tensor& gradient, double rate);

 private:
  SignSgdOptions options_;
  at::Tensor sum_;
};

}  // namespace laconic::optimize
