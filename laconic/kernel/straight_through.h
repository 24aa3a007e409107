#pragma once

#include <ATen/core/ATen_fwd.h>

namespace laconic {

/// `value` in the forward pass; in the backward pass its gradient goes to `x` unchanged. Both have
/// one shape. The straight-through estimator (Bengio et al. 2013, arXiv:1308.3432).
at::Tensor straight_through(const at::Tensor& x, const at::Tensor& value);

/// `value` in the forward pass; in the backward pass its gradient goes to `x` multiplied by
/// `slope`. All broadcast to the shape of `value`; only elements that `slope` lets pass reach `x`:
/// 0 blocks also a gradient that is not finite.
at::Tensor with_slope(const at::Tensor& x, const at::Tensor& value, const at::Tensor& slope);

/// |x| with gradient sign(x), where sign(0) = 1: keeps a parameter that reaches zero alive.
at::Tensor magnitude(const at::Tensor& x);

}  // namespace laconic
