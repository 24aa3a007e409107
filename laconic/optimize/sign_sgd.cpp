#include "laconic/optimize/sign_sgd.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

namespace laconic::optimize {

SignSgd::SignSgd(const SignSgdOptions& options) : options_(options) {
  TORCH_CHECK_VALUE(options.momentum >= 0 && options.momentum < 1,
                    "[sign_sgd] momentum: expected a number from 0 to below 1, got ",
                    options.momentum, ".");
  TORCH_CHECK_VALUE(options.weight_decay >= 0, "[sign_sgd] weight_decay: expected at least 0, got ",
                    options.weight_decay, ".");
}

void SignSgd::step(at::Tensor& parameter, const at::Tensor& gradient, double rate) {
  const at::NoGradGuard no_gradient;
  TORCH_CHECK_VALUE(gradient.defined() && gradient.sizes() == parameter.sizes(),
                    "[sign_sgd] gradient: expected the parameter's shape ", parameter.sizes(),
                    ", got ", gradient.defined() ? gradient.sizes() : at::IntArrayRef{}, ".");
  at::Tensor direction = gradient;
  if (options_.weight_decay > 0) direction = direction + options_.weight_decay * parameter;
  if (options_.momentum > 0) {
    sum_ = sum_.defined() ? options_.momentum * sum_ + direction : direction.clone();
    direction = sum_;
  }
  parameter.sub_(direction.sign(), rate);
}

}  // namespace laconic::optimize
