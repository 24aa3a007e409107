#pragma once

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// The same numbers on a device; what is undefined stays so.
inline QuantParameters on_device(QuantParameters parameters, at::Device device) {
  for (at::Tensor* part : {&parameters.scale, &parameters.zero_point, &parameters.rounding.value,
                           &parameters.code_scale, &parameters.code_zero_point, &parameters.choice,
                           &parameters.plane_scales})
    if (part->defined()) *part = part->to(device);
  return parameters;
}

}  // namespace laconic
