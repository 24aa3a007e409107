#pragma once

#include "laconic/kernel/round_columns.h"

namespace laconic::kernel::cuda {

// As kernel/round_columns.h, for tensors on a device, on its current stream. In builds with
// LACONIC_CUDA only.

/// Whether `round_columns` has loops for this state: on CUDA, without a budget of tiles.
bool knows_columns(const RoundingColumns& state);
void round_columns(RoundingColumns& state, const at::Tensor& feedback, const at::Tensor& current,
                   int64_t begin, int64_t end);

}  // namespace laconic::kernel::cuda
