#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// What a weight norm learns, in the shape of the scale.
struct NormState {
  at::Tensor norm;        ///< g for WeightNormScale, log2(g) for AccumulatorScale
  at::Tensor code_scale;  ///< log2(s) where it finds the codes
  at::Tensor scale;       ///< log2(s) where it makes the values
};

/// True for WeightNormScale and AccumulatorScale.
bool is_norm(const Scale& scale);

/// The state to begin with: g is the norm of the weights, s is max|w| / q_max.
/// @param x  with elements, floating.
NormState initial_norm_state(const QuantSpec& spec, const at::Tensor& x);

/// Scale and code scale of a weight norm, with gradient to `x` and to the state. The code scale is
/// |w| s / g for WeightNormScale, and |w| / min(g / s, bound) for AccumulatorScale, whose bound on
/// the l1 norm of the codes is (2^(P-1) - 1) 2^(signed - N), or (2^P - 2) / (2^N - 1) of centred
/// weights, for P accumulator bits and N input bits.
QuantParameters parameters_of_norm(const QuantSpec& spec, const at::Tensor& x,
                                   const NormState& state);

/// The bound: the largest l1 norm of the codes of one scale whose sums never overflow.
double norm_bound(const AccumulatorScale& scale);

}  // namespace laconic
