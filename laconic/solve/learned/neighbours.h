#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/format/format.h"

namespace laconic::learned_rounding {

/// The elements of a format around real numbers, in units of the scale: low <= x <= high and
/// nothing of the format between them; twice the end of the range where x is beyond it.
struct Neighbours {
  at::Tensor low, high;
};
/// @param real  float32, any shape, finite. An element has itself as `low` (a negative minifloat as
///              `high`).
Neighbours neighbours(const Format& format, const at::Tensor& real);

/// What `neighbours` means, for every format: by a search in the list of its numbers.
Neighbours neighbours_in_table(const Format& format, const at::Tensor& real);

}  // namespace laconic::learned_rounding
