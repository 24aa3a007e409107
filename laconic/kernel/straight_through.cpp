// The one autograd file below torch/nn: custom functions need its headers.
#undef TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "laconic/kernel/straight_through.h"

#include <torch/csrc/autograd/custom_function.h>

namespace laconic {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct StraightThroughFunction : torch::autograd::Function<StraightThroughFunction> {
  static at::Tensor forward(AutogradContext*, const at::Tensor&, const at::Tensor& value) {
    return value.clone();
  }
  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    return {gradients[0], at::Tensor()};
  }
};

struct SlopeFunction : torch::autograd::Function<SlopeFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& value,
                            const at::Tensor& slope) {
    context->save_for_backward({slope});
    context->saved_data["shape"] = x.sizes().vec();
    return value.clone();
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor slope = context->get_saved_variables()[0];
    const auto shape = context->saved_data["shape"].toIntVector();
    const auto product = (gradients[0] * slope).masked_fill(slope.eq(0), 0);
    return {product.sum_to_size(shape), at::Tensor(), at::Tensor()};
  }
};

struct MagnitudeFunction : torch::autograd::Function<MagnitudeFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
    context->save_for_backward({x});
    return x.abs();
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor x = context->get_saved_variables()[0];
    return {gradients[0].where(x.ge(0), gradients[0].neg())};
  }
};

}  // namespace

at::Tensor straight_through(const at::Tensor& x, const at::Tensor& value) {
  if (!x.requires_grad()) return value;
  return StraightThroughFunction::apply(x, value.detach());
}

at::Tensor with_slope(const at::Tensor& x, const at::Tensor& value, const at::Tensor& slope) {
  if (!x.requires_grad()) return value;
  return SlopeFunction::apply(x, value.detach(), slope.detach());
}

at::Tensor magnitude(const at::Tensor& x) {
  return x.requires_grad() ? MagnitudeFunction::apply(x) : x.abs();
}

}  // namespace laconic
