#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel::cuda {

// As quantize_found and quantize_given of kernel/fused/fused.h: jobs whose tensors lie on the
// device of `x`, on its current stream. In builds with LACONIC_CUDA only.

/// Waits for the device: the result says whether all elements were finite.
bool quantize_found_on(const at::Tensor& x, FusedJob job);
void quantize_given_on(const at::Tensor& x, const FusedJob& job);

}  // namespace laconic::kernel::cuda
