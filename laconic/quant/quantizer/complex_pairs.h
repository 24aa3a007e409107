#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

// Quantizers whose format is a ComplexSignsFormat; the functions of quantize.h call these. All
// throw c10::ValueError for a tensor whose last axis has an odd size, or whose pairs do not share
// a scale.

/// Means of |real part| over the codes 1 and -1 in `scale`, of |imaginary part| over i and -i in
/// `plane_scales`; the statistic's minimum where there are none.
QuantParameters find_pair_scales(const QuantSpec& spec, const at::Tensor& x);

/// A bit of each number: of a pair's code the lower one first. Scales do not matter.
at::Tensor pair_codes(const QuantSpec& spec, const at::Tensor& x);

/// Of each pair one number times its scale, 0 the other.
/// @param parameters  with the scales of imaginary parts
/// @throws c10::ValueError also for a code other than 0 and 1.
at::Tensor value_of_pairs(const QuantSpec& spec, const at::Tensor& codes,
                          const QuantParameters& parameters);

}  // namespace laconic
