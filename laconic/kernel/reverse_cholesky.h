#pragma once

#include <ATen/core/Tensor.h>

namespace laconic::kernel {

/// H = R R^T with R upper triangular: a Cholesky factorisation from the last column to the first.
///
/// Why this one: GPTQ's U (H^-1 = U^T U, upper) is R^-1, and its column updates can be written with
/// R alone: before column j is rounded, w_j + sum_{i<j} (w_i - q_i) R_ij / R_jj. No inverse is
/// needed.
struct ReverseCholesky {
  /// The lower Cholesky factor of H with rows and columns reversed, in panel layout (panels.h);
  /// undefined when a pivot was not positive.
  at::Tensor panels;
  int64_t size = 0;  ///< K
  double unit = 1;   ///< the factor is of H times this
  bool holds() const { return panels.defined(); }
};

/// @param hessian  [K, K], symmetric, finite, contiguous float32 (only its values are read).
/// @param diagonal [K] float64: replaces the diagonal (damped).
/// @param order    [K] int64: the factor is of H[order][:, order].
/// @param dtype    at::kFloat or at::kDouble: the arithmetic.
/// The result does not depend on the number of threads.
ReverseCholesky reverse_cholesky(const at::Tensor& hessian, const at::Tensor& diagonal,
                                 const at::Tensor& order, at::ScalarType dtype);

/// R_ij / R_jj for i < `end`, j in [begin, end), 0 where i >= j: [end, end - begin] float32.
at::Tensor feedback_columns(const ReverseCholesky& factor, int64_t begin, int64_t end);

/// R_jj^2, the squared pivots: [K] float64, in units of H.
at::Tensor squared_pivots(const ReverseCholesky& factor);

}  // namespace laconic::kernel
