#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel::cuda {

// As quantize_found, is_finite, and quantize_given of kernel/fused/fused.h: jobs whose tensors lie
// on the device of `x`, on its current stream. In builds with LACONIC_CUDA only.

/// `not_finite`, memory that the device writes, becomes 1 when an element is NaN or infinite.
void quantize_found_on(const at::Tensor& x, const FusedJob& job, int* not_finite);
void check_finite_on(const at::Tensor& x, const FusedJob& job, int* not_finite);
void quantize_given_on(const at::Tensor& x, const FusedJob& job);

}  // namespace laconic::kernel::cuda
