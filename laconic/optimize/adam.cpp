#include "laconic/optimize/adam.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace laconic::optimize {

Adam::Adam(const AdamOptions& options) : options_(options) {
  const auto is_share = [](double x) { return x >= 0 && x < 1; };
  TORCH_CHECK_VALUE(is_share(options.first) && is_share(options.second),
                    "[adam] first, second: expected numbers from 0 to below 1, got ", options.first,
                    " and ", options.second, ".");
  TORCH_CHECK_VALUE(options.epsilon > 0, "[adam] epsilon: expected above 0, got ", options.epsilon,
                    ".");
}

void Adam::step(at::Tensor& parameter, const at::Tensor& gradient, double rate) {
  const at::NoGradGuard no_gradient;
  TORCH_CHECK_VALUE(gradient.defined() && gradient.sizes() == parameter.sizes(),
                    "[adam] gradient: expected the parameter's shape ", parameter.sizes(), ", got ",
                    gradient.defined() ? gradient.sizes() : at::IntArrayRef{}, ".");
  if (!mean_.defined()) {
    mean_ = parameter.new_zeros(parameter.sizes());
    mean_square_ = parameter.new_zeros(parameter.sizes());
  }
  ++steps_;
  mean_.mul_(options_.first).add_(gradient, 1 - options_.first);
  mean_square_.mul_(options_.second).addcmul_(gradient, gradient, 1 - options_.second);
  const double first = 1 - std::pow(options_.first, steps_);
  const double second = 1 - std::pow(options_.second, steps_);
  const at::Tensor size = (mean_square_ / second).sqrt_().add_(options_.epsilon);
  parameter.addcdiv_(mean_, size, -rate / first);
}

}  // namespace laconic::optimize
