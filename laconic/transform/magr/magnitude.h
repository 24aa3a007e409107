#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace laconic::transform {

/// The largest eigenvalue of a symmetric matrix without negative ones, by power iteration.
/// @param start  [n], not orthogonal to its eigenvector.
/// @returns 0-dim.
at::Tensor power_iteration(const at::Tensor& matrix, const at::Tensor& start, int64_t steps);

/// The nearest point with |x_1| + |x_2| + ... <= radius, along the last dimension.
at::Tensor l1_ball_projection(const at::Tensor& x, double radius);
/// The same by LibTorch's operations, for any device: elements are sorted.
at::Tensor l1_ball_projection_by_sorting(const at::Tensor& x, double radius);

struct MagnitudeReduction {
  double alpha = 0.003;  ///< weight of the largest magnitude, relative to the step and |H|_1
  int64_t steps = 30;
  int64_t power_iteration_steps = 30;
};

/// Weights whose largest magnitudes are smaller and whose outputs are nearly the same: proximal
/// gradient on tr((W - W0) H (W - W0)^T) / 2 + a sum of the groups' largest magnitudes. MagR,
/// arXiv:2406.00800.
/// @param weight   [out, in] float32.
/// @param hessian  [in, in], X^T X times any positive number.
/// @param run      elements of a row that share a scale; it divides `in`.
at::Tensor reduce_magnitude(const at::Tensor& weight, const at::Tensor& hessian, int64_t run,
                            const MagnitudeReduction& options);

}  // namespace laconic::transform
