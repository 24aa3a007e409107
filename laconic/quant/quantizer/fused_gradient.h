#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/fused.h"
#include "laconic/quant/quantizer/fused_call.h"

namespace laconic {

// Backward passes of the fused kernels. Those of the composed path but for the order of sums; a
// second derivative is refused.

/// Whether the backward kernels know it: no runs that are filled up with zeros.
bool has_fused_gradient(const kernel::ScaleRuns& runs);

/// `found` is what the call made of `x`: its value, with the gradient to `x` through the codes and
/// through the parameters.
at::Tensor with_dynamic_gradient(const QuantSpec& spec, const FusedCall& call, const at::Tensor& x,
                                 const FusedResult& found);

/// `value` is what the parameters make of `x`: with the gradient to all three.
at::Tensor with_given_gradient(const QuantSpec& spec, const FusedCall& call, const at::Tensor& x,
                               const QuantParameters& parameters, const at::Tensor& value);

}  // namespace laconic
