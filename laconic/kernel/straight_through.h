#pragma once

#include <ATen/core/ATen_fwd.h>

namespace laconic {

/// `value` in the forward pass; in the backward pass its gradient goes to `x` unchanged. Both have
/// one shape. The straight-through estimator (Bengio et al. 2013, arXiv:1308.3432).
at::Tensor straight_through(const at::Tensor& x, const at::Tensor& value);

/// |x| with gradient sign(x), where sign(0) = 1: keeps a parameter that reaches zero alive.
at::Tensor magnitude(const at::Tensor& x);

}  // namespace laconic
