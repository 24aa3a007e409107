#pragma once

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// The same numbers on a device; what is undefined stays so.
inline QuantParameters on_device(QuantParameters parameters, at::Device device) {
  for (at::Tensor* part : {&parameters.scale, &parameters.zero_point, &parameters.code_scale})
    if (part->defined()) *part = part->to(device);
  return parameters;
}

}  // namespace laconic
