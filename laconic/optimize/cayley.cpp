#include "laconic/optimize/cayley.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace laconic::optimize {
namespace {

constexpr double kEpsilon = 1e-8;  // against a division by zero

}  // namespace

CayleySgd::CayleySgd(const CayleyOptions& options) : options_(options) {
  TORCH_CHECK_VALUE(options.momentum >= 0 && options.momentum < 1,
                    "[cayley] momentum: expected a number from 0 to below 1, got ",
                    options.momentum, ".");
  TORCH_CHECK_VALUE(options.inner_iterations > 0,
                    "[cayley] inner_iterations: expected at least 1, got ",
                    options.inner_iterations, ".");
}

void CayleySgd::step(at::Tensor& parameter, const at::Tensor& gradient, double rate) {
  const at::NoGradGuard no_gradient;
  TORCH_CHECK_VALUE(parameter.dim() == 2 && parameter.size(0) <= parameter.size(1),
                    "[cayley] parameter: expected a matrix with at most as many rows as columns, ",
                    "got ", parameter.sizes(), ".");
  TORCH_CHECK_VALUE(gradient.defined() && gradient.sizes() == parameter.sizes(),
                    "[cayley] gradient: expected the parameter's shape ", parameter.sizes(),
                    ", got ", gradient.defined() ? gradient.sizes() : at::IntArrayRef{}, ".");
  // Rows drift from unit length by what the fixed point leaves.
  const at::Tensor unit = parameter / (parameter.norm(2, {1}, true) + kEpsilon);
  const at::Tensor X = unit.t();
  at::Tensor V = -gradient.t();
  if (velocity_.defined()) V = options_.momentum * velocity_ + V;
  const at::Tensor MX = V.mm(unit);
  const at::Tensor half = MX - 0.5 * X.mm(unit.mm(MX));
  const at::Tensor W = half - half.t();
  const double longest = 1 / (W.abs().sum(0).max().item<double>() + kEpsilon);
  const double t = std::min(longest, rate);
  at::Tensor Y = X + t * V;
  for (int64_t i = 0; i < options_.inner_iterations; ++i) Y = X + t * W.mm(0.5 * (X + Y));
  parameter.copy_(Y.t());
  if (options_.momentum > 0) velocity_ = W.mm(X);
}

}  // namespace laconic::optimize
