#pragma once

#include <ATen/ATen.h>

#include "laconic/solve/solve.h"

namespace laconic::testing {

/// Inputs whose neighbours are alike, a few of them large: what a network's activations look like.
inline at::Tensor correlated_inputs(int64_t rows, int64_t columns) {
  at::manual_seed(7);
  const at::Tensor noise = at::randn({rows, columns + 4});
  at::Tensor x = at::zeros({rows, columns});
  for (int64_t shift = 0; shift < 5; ++shift)
    x += noise.narrow(1, shift, columns) * std::pow(0.8, shift);
  x *= at::linspace(0.2, 2.0, columns);
  return x;
}

inline QuantSpec int_spec(int64_t bits, Granularity granularity) {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = bits};
  spec.granularity = granularity;
  return spec;
}

/// A layer whose inputs X~ in the quantized network differ from X in the float one.
struct MismatchedLayer {
  at::Tensor x, quantized_x;  ///< [n, in] float32
  LayerProblem problem;
};

/// @param noise  of the path, in units of the inputs' own size.
inline MismatchedLayer mismatched_layer(const QuantSpec& spec, int64_t rows = 70,
                                        int64_t columns = 128, double noise = 0.15) {
  MismatchedLayer layer;
  layer.x = correlated_inputs(4 * columns, columns);
  at::manual_seed(11);
  const at::Tensor error = at::randn_like(layer.x) * layer.x.std(0, true, true);
  layer.quantized_x = layer.x + noise * error;
  layer.problem = {.name = "layer",
                   .weight = at::randn({rows, columns}),
                   .spec = spec,
                   .hessian = {},
                   .importance = {}};
  const at::Tensor& x = layer.quantized_x;
  layer.problem.hessian = x.t().matmul(x) / x.size(0);
  layer.problem.mismatch = x.t().matmul(layer.x - x) / x.size(0);
  return layer;
}

/// || X W^T - X~ Q^T ||^2 / || X W^T ||^2: what all of these solvers are for.
inline double followed_error(const MismatchedLayer& layer, const LayerSolution& solution) {
  const at::Tensor w = layer.problem.weight.to(at::kDouble);
  const at::Tensor q =
      dequantize(layer.problem.spec, solution.codes, solution.parameters).to(at::kDouble);
  const at::Tensor wanted = layer.x.to(at::kDouble).matmul(w.t());
  const at::Tensor got = layer.quantized_x.to(at::kDouble).matmul(q.t());
  return ((wanted - got).square().sum() / wanted.square().sum()).item<double>();
}

inline double share_of_different(const at::Tensor& a, const at::Tensor& b) {
  return a.ne(b).to(at::kDouble).mean().item<double>();
}

}  // namespace laconic::testing
