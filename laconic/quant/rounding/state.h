#pragma once

#include <ATen/core/Tensor.h>

namespace laconic {

/// What a rounding keeps of one tensor beside its spec; nothing of it for most.
struct RoundingState {
  bool is_training = false;  ///< learned roundings are soft then, noise is added
  at::Tensor value = {};     ///< learned roundings: one number an element, shape of the tensor
  at::Tensor draw = {};  ///< random roundings: int64, 0-dim, how many draws came before; or none
};

}  // namespace laconic
