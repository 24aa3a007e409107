#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/kernel/fused/fused.h"
#include "laconic/kernel/fused/job.h"

namespace laconic::kernel::cuda {

// As the functions of kernel/fused/fused.h that are named alike: jobs whose tensors lie on the
// device of `x`, on its current stream. In builds with LACONIC_CUDA only.

RunExtremesOf find_extremes_on(const at::Tensor& x, const FusedJob& job);
NumberGradients gradients_of_numbers_on(const at::Tensor& x, const BackwardJob& job);
void write_input_gradients_on(const at::Tensor& x, const BackwardJob& job);
/// By the job's rule.
void write_found_gradients_on(const at::Tensor& x, const BackwardJob& job);

}  // namespace laconic::kernel::cuda
