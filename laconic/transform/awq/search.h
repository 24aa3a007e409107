#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "laconic/transform/scalings.h"
#include "laconic/transform/weights.h"

namespace laconic::transform {

struct FactorSearch {
  int64_t grid = 20;         ///< exponents 0, 1 / grid, ...
  bool weight_mean = false;  ///< also factors that fall with the mean magnitude of the weights
};

/// Factors of the features, and what they do to sum tr((Q(W) - W) H (Q(W) - W)^T).
struct FoundFactors {
  at::Tensor factors;  ///< [scaling.width] > 0
  double error = 0, error_before = 0;
};

/// Tries s = m^r (m the mean magnitude of a feature, r of the grid), divided by the geometric mean
/// of its largest and smallest, and keeps that with the least error of all weights' outputs when
/// columns are multiplied by s before they are quantized. r = 0 changes nothing, so the error never
/// grows. AWQ, arXiv:2306.00978.
/// @param hessian  [in, in], X^T X / n of the input before it is divided.
/// @param mean     [in] mean magnitude of each feature.
FoundFactors search_factors(const std::vector<FutureWeight>& weights, const at::Tensor& hessian,
                            const at::Tensor& mean, const Scaling& scaling,
                            const FactorSearch& search);

struct ClipSearch {
  int64_t grid = 20;        ///< steps of 1 / grid
  double max_shrink = 0.5;  ///< the largest part that is cut off
};

/// The magnitude to which each group of a weight is clipped before it is quantized: that with the
/// least error of the group's own output. The whole row is a group when the spec has none along the
/// inputs.
/// @returns [out, groups, 1].
at::Tensor search_clips(const FutureWeight& weight, const at::Tensor& hessian,
                        const ClipSearch& search);

/// A [out, in] weight between minus and plus the clips of its groups.
at::Tensor clipped(const at::Tensor& weight, const at::Tensor& clips);

}  // namespace laconic::transform
