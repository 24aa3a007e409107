#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/gradient/gradient.h"
#include "laconic/quant/rounding/rounding.h"

namespace laconic {

/// Smallest and largest element of a format.
struct ElementRange {
  double low, high;
  bool operator==(const ElementRange&) const = default;
};

/// The same as tensors, 0-dim and floating; they may carry the gradient of a learned bit width.
struct CodeBounds {
  at::Tensor q_min, q_max;
};

/// How real numbers, in units of the scale, become elements.
struct ElementRule {
  CodeBounds bounds;
  Rounding rounding = HalfEven{};
  Gradient gradient = StraightThrough{};
  RoundingState state = {};    ///< of the rounding, in the shape of the numbers
  at::Tensor zero_point = {};  ///< that the numbers hold already; undefined: 0
};

}  // namespace laconic
