#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "laconic/transform/scalings.h"

namespace laconic::transform {

/// How wide a channel is.
enum class RangeKind { kLargestMagnitude, kMaximumMinusMinimum };

struct Equalization {
  int64_t iterations = 10;    ///< rounds at most
  double threshold = 0.05;    ///< end when no factor is further from 1
  bool merge_bias = true;     ///< a bias counts among the elements of its channel, divided by
  double bias_shrinkage = 0;  ///< this; 0: by how much larger biases are than weights
  RangeKind range = RangeKind::kLargestMagnitude;
};

using Tensors = std::map<std::string, at::Tensor>;

/// By how much a bias is divided before it counts beside its weight: much larger biases count less.
double adaptive_shrinkage(const at::Tensor& weight, const at::Tensor& bias);

/// Divides what writes features and multiplies what reads them until both are equally wide: factors
/// sqrt(width of sources / width of sinks), the widest of several. Features that are zero on either
/// side stay. Nagel et al. 2019, arXiv:1906.04721.
/// @param tensors  all parameters of the regions; changed.
/// @param regions  sources: weights, each with its bias behind it.
/// @returns of each region the factors that its sources were divided by.
std::vector<at::Tensor> equalize_ranges(Tensors& tensors, const std::vector<Scaling>& regions,
                                        const Equalization& options);

}  // namespace laconic::transform
