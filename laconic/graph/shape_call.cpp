#include "laconic/graph/shape_call.h"

#include <ATen/ops/empty_strided.h>
#include <ATen/ops/zeros.h>

#include <functional>
#include <utility>

namespace laconic::graph {
namespace {

using ChangeTensor = std::function<at::Tensor(const at::Tensor&)>;

/// The value with each of its tensors changed.
c10::IValue with_tensors(const c10::IValue& value, const ChangeTensor& change) {
  if (value.isTensor() && value.toTensor().defined()) return change(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& item : value.toTensorVector()) list.push_back(change(item));
    return list;
  }
  if (!value.isOptionalTensorList()) return value;
  c10::List<std::optional<at::Tensor>> list;
  for (const c10::IValue& item : value.toListRef())
    list.push_back(item.isNone() ? std::optional<at::Tensor>() : change(item.toTensor()));
  return list;
}

/// Zeros of the shape in one element of memory: a weight of billions costs nothing.
at::Tensor zeros_on_cpu(const at::Tensor& x) {
  if (!x.is_meta()) return x;
  return at::zeros({}, at::TensorOptions().dtype(x.dtype()).device(at::kCPU)).expand(x.sizes());
}

at::Tensor shape_only(const at::Tensor& x) {
  if (!x.defined() || x.is_meta()) return x;
  return at::empty_strided(x.sizes(), x.strides(), x.options().device(at::kMeta));
}

bool has_meta_tensor(const torch::jit::Stack& arguments) {
  bool found = false;
  const auto look = [&](const at::Tensor& x) {
    found = found || (x.defined() && x.is_meta());
    return x;
  };
  for (const c10::IValue& value : arguments) with_tensors(value, look);
  return found;
}

/// What a call in place returns: the tensors that it was given to change.
torch::jit::Stack changed_arguments(const c10::FunctionSchema& schema,
                                    const torch::jit::Stack& arguments) {
  torch::jit::Stack result;
  for (size_t i = 0; i < arguments.size() && result.size() < schema.returns().size(); ++i) {
    const auto* alias = schema.arguments()[i].alias_info();
    if (alias != nullptr && alias->isWrite()) result.push_back(arguments[i]);
  }
  return result;
}

}  // namespace

void call_for_shapes(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto count = static_cast<std::ptrdiff_t>(schema.arguments().size());
  const torch::jit::Stack given(stack->end() - count, stack->end());
  if (!has_meta_tensor(given)) return op.callBoxed(stack);
  const size_t below = stack->size() - given.size();
  try {
    return op.callBoxed(stack);
  } catch (const c10::NotImplementedError&) {
    // No shapes-only kernel: below.
  } catch (const c10::Error&) {
    if (schema.is_mutable()) throw;  // others say the same again on the CPU, if they are right
  }
  stack->resize(below);
  if (schema.is_mutable()) {
    for (c10::IValue& value : changed_arguments(schema, given)) stack->push_back(std::move(value));
    return;
  }
  torch::jit::Stack real;
  for (const c10::IValue& value : given) real.push_back(with_tensors(value, zeros_on_cpu));
  op.callBoxed(&real);
  for (const c10::IValue& value : real) stack->push_back(with_tensors(value, shape_only));
}

}  // namespace laconic::graph
