#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic {

/// A tensor as a sum: a product of two thin matrices, then planes, each a quantizer of what those
/// before leave.
struct PlanesSpec {
  std::vector<QuantSpec> planes;
  int64_t rank = 0;    ///< of the product; 0: none
  int64_t rounds = 0;  ///< after the first pass, times that each plane is found anew from what all
                       ///< the others leave; the best sum is kept
  bool operator==(const PlanesSpec&) const = default;
};

/// What a PlanesSpec makes of a tensor.
struct PlanesTensor {
  at::Tensor left, right;           ///< [out, rank], [rank, in] floating; undefined without rank
  std::vector<QuantTensor> planes;  ///< one a plane of the spec
};

/// Two planes of -1 and 1, each with its own scale: mean |x| of what it sees.
PlanesSpec two_binary_planes(const Granularity& granularity);
/// Planes of -1, 0 and 1 with scales of their own.
PlanesSpec ternary_planes(int64_t count, const Granularity& granularity);
/// A product of rank `rank`, and what it leaves quantized.
PlanesSpec low_rank(int64_t rank, const QuantSpec& residual);

/// @param x  floating; a matrix where the spec has a rank.
/// @throws c10::ValueError for no plane, a plane that contradicts itself, a rank that `x` cannot
///         have, NaN or infinity.
PlanesTensor quantize_planes(const PlanesSpec& spec, const at::Tensor& x);

/// The sum, in the dtype of the scales.
at::Tensor value_of(const PlanesTensor& tensor);

/// Bits that an element takes, without scales and the thin matrices.
int64_t bits_of(const PlanesSpec& spec);

}  // namespace laconic
