#pragma once

#include <ATen/core/Tensor.h>

namespace laconic::optimize {

struct CayleyOptions {
  double momentum = 0;           ///< in [0, 1)
  int64_t inner_iterations = 5;  ///< of the fixed point that stands for the Cayley transform
};

/// Gradient descent on matrices whose rows are orthonormal. A step goes along
/// Y = X + rate / 2 W (X + Y) with a skew-symmetric W, which keeps Y^T Y = X^T X; Y is found by a
/// fixed point, the rate bounded by 1 / |W|_1 so that it converges.
/// Paper: Li, Fuxin, Todorovic 2020, arXiv:2002.01113 (algorithm 1, Cayley SGD).
class CayleySgd {
 public:
  /// @throws c10::ValueError for a momentum outside of [0, 1) or no iteration.
  explicit CayleySgd(const CayleyOptions& options = {});

  /// @param parameter  [n, m] with n <= m, rows near orthonormal; changed in place.
  /// @throws c10::ValueError for another shape, or a gradient that does not fit.
  void step(at::Tensor& parameter, const at::Tensor& gradient, double rate);

 private:
  CayleyOptions options_;
  at::Tensor velocity_;  ///< [m, n]
};

}  // namespace laconic::optimize
