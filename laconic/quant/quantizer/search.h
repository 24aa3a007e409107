#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// What a search works on: the elements of each scale in one row.
struct SearchProblem {
  at::Tensor rows;                  ///< [scales, n]
  at::Tensor importance;            ///< the same shape, >= 0, or undefined
  at::Tensor minimum;               ///< [scales]: min(row, 0); used with a zero point
  double threshold;                 ///< codes that the statistic spans
  std::vector<int64_t> shape = {};  ///< of the scales, for a restriction that quantizes them
};

/// Statistic (before restriction) of each row with the least squared error of the whole quantizer:
/// [scales].
at::Tensor search_mse(const Mse& mse, const QuantSpec& spec, const SearchProblem& problem);

/// Minimum of each row with the least squared error, the scale being fixed: [scales].
at::Tensor search_minimum(const MseMinimum& mse, const QuantSpec& spec,
                          const SearchProblem& problem, const at::Tensor& scale);

/// Half-quadratic search of the minimum of each row, the scale being fixed: [scales]. This and the
/// next are done on the CPU, wherever the rows lie: the same scales on all devices.
at::Tensor search_minimum_half_quadratic(const HalfQuadraticMinimum& kind, const QuantSpec& spec,
                                         const SearchProblem& problem, const at::Tensor& scale);

/// Half-quadratic search of the statistic: [scales].
at::Tensor search_half_quadratic(const HalfQuadratic& kind, const QuantSpec& spec,
                                 const SearchProblem& problem);

/// Threshold of least divergence of each row: [scales]. As the established library has it, the
/// counts of the two histograms are the logits of the distributions that are compared.
at::Tensor search_divergence(const KlDivergence& kind, const QuantSpec& spec,
                             const SearchProblem& problem);

}  // namespace laconic
