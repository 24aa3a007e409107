#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/planes.h"

namespace laconic {

// Quantizers whose format is a PlaneSumFormat; the functions of quantize.h call these.

/// The planes that a spec means: each with all its parts but the format.
PlanesSpec planes_of(const QuantSpec& spec);

/// The scales that quantize_planes finds: the first plane's, the others' in plane_scales.
QuantParameters find_plane_scales(const QuantSpec& spec, const at::Tensor& x);

/// Of each number the code of the nearest sum; of equally near ones the lowest code. Never worse
/// than the sum of quantize_planes, and the same for two binary planes without rounds.
/// @param parameters  with the scales of all planes
at::Tensor nearest_plane_codes(const QuantSpec& spec, const at::Tensor& x,
                               const QuantParameters& parameters);

/// The sum of the planes, in the shape of `codes` and the dtype of the scale.
/// @throws c10::ValueError for a code that a plane does not have.
at::Tensor value_of_planes(const QuantSpec& spec, const at::Tensor& codes,
                           const QuantParameters& parameters);

}  // namespace laconic
