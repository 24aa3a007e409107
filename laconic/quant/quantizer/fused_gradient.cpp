// Custom functions need autograd's headers, which other files below torch/nn do without.
#undef TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "laconic/quant/quantizer/fused_gradient.h"

#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "laconic/kernel/fused/fused.h"
#include "laconic/quant/quantizer/range.h"

namespace laconic {
namespace {

using kernel::NumberGradients;
using kernel::QuantizedRuns;
using kernel::RunExtremesOf;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What a backward pass needs to know besides tensors.
struct Recorded : torch::CustomClassHolder {
  Recorded(QuantSpec of, FusedCall made) : spec(std::move(of)), call(std::move(made)) {}
  QuantSpec spec;
  FusedCall call;
};
using RecordedPointer = c10::intrusive_ptr<Recorded>;

RecordedPointer recorded(AutogradContext* context) {
  return c10::static_intrusive_pointer_cast<Recorded>(context->saved_data["recorded"].toCapsule());
}

QuantizedRuns quantized_runs(AutogradContext* context, const at::Tensor& gradient) {
  TORCH_CHECK_NOT_IMPLEMENTED(!at::GradMode::is_enabled(),
                              "[quantize] a second derivative: expected create_graph false, got "
                              "true. Use fake_quantize_composed.");
  const auto saved = context->get_saved_variables();
  const auto whole = recorded(context);
  const at::Tensor x = readable(saved[0]);
  return {x,
          gradient.to(x.scalar_type()).contiguous(),
          whole->call.runs,
          whole->call.grid,
          flat(saved[1]),
          flat(saved[2]),
          std::holds_alternative<Clipped>(whole->spec.gradient)};
}

/// Gradients of the extremes, each to be shared by the elements that equal one: the small tensors
/// of scales go through the composed path.
RunExtremesOf gradients_of_extremes(const Recorded& what, const RunExtremesOf& extremes,
                                    const NumberGradients& numbers, at::IntArrayRef shape) {
  const at::AutoGradMode with_gradient(true);
  const at::Tensor high = extremes.high.detach().requires_grad_(true);
  const at::Tensor low = extremes.low.defined() ? extremes.low.detach().requires_grad_(true) : high;
  const auto parameters =
      parameters_of_range(what.spec, range_of_extremes(what.spec, low, high), shape);
  variable_list outputs{parameters.scale}, gradients{numbers.scale.reshape(shape)};
  if (parameters.zero_point.defined()) {
    outputs.push_back(parameters.zero_point);
    gradients.push_back(numbers.zero_point.reshape(shape));
  }
  variable_list inputs{high};
  if (extremes.low.defined()) inputs.push_back(low);
  const auto found = torch::autograd::grad(outputs, inputs, gradients, /*retain_graph=*/false,
                                           /*create_graph=*/false, /*allow_unused=*/true);
  const auto share = [](const at::Tensor& gradient, const at::Tensor& count) {
    return gradient.defined() ? (gradient / count).contiguous() : at::zeros_like(count);
  };
  RunExtremesOf shares{{}, share(found[0], numbers.high_count), extremes.of_magnitude};
  if (extremes.low.defined()) shares.low = share(found[1], numbers.low_count);
  return shares;
}

struct DynamicFunction : torch::autograd::Function<DynamicFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const FusedResult& found,
                            const RecordedPointer& what) {
    context->save_for_backward({x, found.parameters.scale, found.parameters.zero_point});
    context->saved_data["recorded"] = c10::IValue::make_capsule(what);
    return found.value;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const QuantizedRuns what = quantized_runs(context, gradients[0]);
    const auto whole = recorded(context);
    const auto& rule = whole->call.rule;
    const auto& codes = whole->call.codes;
    if (rule && (!whole->call.quantizes_scales || codes.scale.defined()) &&
        kernel::knows_found_gradient(what.x, what.runs, *rule, codes)) {
      const at::Tensor result = kernel::gradient_of_found(what, *rule, codes);
      return {result.to(gradients[0].scalar_type()), at::Tensor(), at::Tensor()};
    }
    const RunExtremesOf extremes =
        kernel::find_extremes(what.x, what.runs, whole->call.of_magnitude);
    const auto numbers = kernel::gradients_of_numbers(what, extremes);
    const auto shape = context->get_saved_variables()[1].sizes();
    const RunExtremesOf shares = gradients_of_extremes(*whole, extremes, numbers, shape);
    const auto result = kernel::gradient_of_input(what, extremes, shares.low, shares.high);
    return {result.to(gradients[0].scalar_type()), at::Tensor(), at::Tensor()};
  }
};

struct GivenFunction : torch::autograd::Function<GivenFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& scale,
                            const std::optional<at::Tensor>& zero_point, const FusedResult& found,
                            const RecordedPointer& what) {
    context->save_for_backward({x, scale, zero_point.value_or(at::Tensor())});
    context->saved_data["recorded"] = c10::IValue::make_capsule(what);
    return found.value;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const QuantizedRuns what = quantized_runs(context, gradients[0]);
    const auto saved = context->get_saved_variables();
    variable_list result(5);
    if (context->needs_input_grad(0))
      result[0] = kernel::gradient_of_input(what, {}, {}, {}).to(gradients[0].scalar_type());
    const bool to_zero_point = saved[2].defined() && context->needs_input_grad(2);
    if (!context->needs_input_grad(1) && !to_zero_point) return result;
    const auto numbers = kernel::gradients_of_numbers(what, {});
    result[1] = numbers.scale.reshape(saved[1].sizes());
    if (saved[2].defined()) result[2] = numbers.zero_point.reshape(saved[2].sizes());
    return result;
  }
};

}  // namespace

bool has_fused_gradient(const kernel::ScaleRuns& runs) {
  return runs.length % runs.group == 0 && runs.rows % runs.band == 0;
}

at::Tensor with_dynamic_gradient(const QuantSpec& spec, const FusedCall& call, const at::Tensor& x,
                                 const FusedResult& found) {
  return DynamicFunction::apply(x, found, c10::make_intrusive<Recorded>(spec, call));
}

at::Tensor with_given_gradient(const QuantSpec& spec, const FusedCall& call, const at::Tensor& x,
                               const QuantParameters& parameters, const at::Tensor& value) {
  const auto& zero_point = parameters.zero_point;
  return GivenFunction::apply(x, parameters.scale,
                              zero_point.defined() ? std::optional(zero_point) : std::nullopt,
                              FusedResult{value, {}}, c10::make_intrusive<Recorded>(spec, call));
}

}  // namespace laconic
