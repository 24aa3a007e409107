#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel::cuda {

// As quantize_found, is_finite, quantize_given and find_scale_of_scales of kernel/fused/fused.h:
// jobs whose tensors lie on the device of `x`, on its current stream. In builds with LACONIC_CUDA
// only.

/// `not_finite`, memory that the device writes, becomes 1 when an element is NaN or infinite.
void quantize_found_on(const at::Tensor& x, const FusedJob& job, int* not_finite);
void check_finite_on(const at::Tensor& x, const FusedJob& job, int* not_finite);
void quantize_given_on(const at::Tensor& x, const FusedJob& job);
/// By the job's rule, and `of_scales` for the scale of scales, one number of the device.
void find_scale_of_scales_on(const at::Tensor& x, const FusedJob& job, const RangeRule& of_scales,
                             float* scale, int* not_finite);

}  // namespace laconic::kernel::cuda
