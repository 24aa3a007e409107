#include "laconic/graph/tracer.h"

#include <torch/nn/module.h>

#include <algorithm>

#include "laconic/graph/shape_call.h"
#include "laconic/graph/traceable.h"

namespace laconic::graph {
namespace {

const void* memory(const at::Tensor& tensor) {
  return tensor.defined() && tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl()
                                                  : nullptr;
}

/// The tensors of one argument or result.
std::vector<at::Tensor> tensors_of(const c10::IValue& value) {
  if (value.isTensor() && value.toTensor().defined()) return {value.toTensor()};
  std::vector<at::Tensor> result;
  if (value.isTensorList() || value.isOptionalTensorList())
    for (const c10::IValue& item : value.toListRef())
      if (item.isTensor()) result.push_back(item.toTensor());
  return result;
}

bool is_tensor_type(const c10::Argument& argument) {
  return argument.type()->isSubtypeOf(*c10::TensorType::get()) ||
         argument.type()->isSubtypeOf(*c10::ListType::ofTensors());
}

/// The one tensor that a call in place changes; undefined when it changes several.
at::Tensor written_tensor(const c10::FunctionSchema& schema, const torch::jit::Stack& given) {
  std::vector<at::Tensor> written;
  for (size_t i = 0; i < given.size(); ++i) {
    if (!is_written(schema.arguments()[i])) continue;
    for (const at::Tensor& tensor : tensors_of(given[i])) written.push_back(tensor);
  }
  return written.size() == 1 ? written[0] : at::Tensor();
}

/// aten::empty and its kind: memory that nobody has written.
bool makes_unwritten(const std::string& op) {
  return op.starts_with("aten::empty") || op.starts_with("aten::new_empty");
}

}  // namespace

Tracer::Tracer(const torch::nn::Module& module, const TraceOptions& options) : options_(options) {
  for (const auto& item : module.named_modules("", /*include_self=*/false))
    paths_.emplace(item.value().get(), rename(item.key()));
  for (const auto& item : module.named_parameters()) name_tensor(item.key(), item.value());
  for (const auto& item : module.named_buffers()) name_tensor(item.key(), item.value());
}

void Tracer::enter(const torch::nn::Module* module) {
  const auto found = paths_.find(module);
  scopes_.push_back(found != paths_.end() ? found->second : scope());
}

void Tracer::name_tensor(const std::string& name, const at::Tensor& tensor) {
  if (!tensor.defined()) return;
  parameters_.emplace(tensor.unsafeGetTensorImpl(), rename(name));
  if (memory(tensor) != nullptr) parameter_memory_.emplace(memory(tensor), rename(name));
  alive_.push_back(tensor);
}

Value Tracer::add_parameter(const std::string& name) {
  // One node a use: a tied weight is not a value that lives from the first layer to the last.
  const size_t dot = name.rfind('.');
  const std::string owner = dot == std::string::npos ? "" : name.substr(0, dot), here = scope();
  const bool inside = here.empty() || owner == here || owner.starts_with(here + ".");
  if (inside && owner_.empty()) owner_ = owner;
  graph_.nodes.push_back({NodeKind::kParameter, name, inside ? owner : here, {}});
  return {graph_.size() - 1, 0};
}

const at::Tensor& Tracer::bound_handle(const at::Tensor& tensor) const {
  if (values_.contains(tensor.unsafeGetTensorImpl())) return tensor;
  const auto found = latest_.find(memory(tensor));
  if (memory(tensor) == nullptr || found == latest_.end()) return tensor;
  const at::Tensor& other = found->second;
  const bool same = other.sizes() == tensor.sizes() && other.strides() == tensor.strides() &&
                    other.storage_offset() == tensor.storage_offset() &&
                    other.dtype() == tensor.dtype();
  return same ? other : tensor;
}

Argument Tracer::tensor_argument(const at::Tensor& tensor, const std::string& op) {
  if (!tensor.defined()) return c10::IValue();
  const auto* impl = bound_handle(tensor).unsafeGetTensorImpl();
  if (constants_.contains(memory(tensor))) return c10::IValue(tensor.detach().clone());
  TORCH_CHECK_VALUE(!unwritten_.contains(memory(tensor)), where(), op, " uses a tensor ",
                    tensor.sizes(),
                    " that no operator has written: expected numbers in it. Make "
                    "it with zeros_like or full_like.");
  if (const auto bound = values_.find(impl); bound != values_.end()) {
    const auto version = versions_.find(memory(tensor));
    TORCH_CHECK_VALUE(version == versions_.end() || version->second == bound->second.version,
                      where(), op, " uses a tensor ", tensor.sizes(),
                      " of which another view was changed in place: expected each change to be "
                      "seen. Use the form that returns a new tensor (cat, where, index_put, ...).");
    return bound->second.value;
  }
  const auto parameter = parameters_.find(impl);
  TORCH_CHECK_VALUE(parameter != parameters_.end(), where(), op, " uses a tensor ", tensor.sizes(),
                    " of ", tensor.dtype(),
                    " that is neither a parameter, a buffer, nor computed from the input. ",
                    "Register it as a buffer, or compute it in forward.");
  return add_parameter(parameter->second);
}

Argument Tracer::argument(const c10::IValue& value, const std::string& op) {
  if (value.isTensor()) return tensor_argument(value.toTensor(), op);
  if (value.isTensorList() || value.isOptionalTensorList()) {
    ArgumentList list;
    for (const c10::IValue& item : value.toListRef())
      list.push_back(item.isNone() ? Argument(c10::IValue())
                                   : tensor_argument(item.toTensor(), op));
    return list;
  }
  TORCH_CHECK_VALUE(
      !value.isDevice() || !value.toDevice().is_meta(), where(), op,
      " makes a tensor on a fixed device: expected a device that follows from the input. ",
      "Use an operator like laconic::positions, or new_zeros and its kind on a tensor of the "
      "input.");
  return value;
}

bool Tracer::is_constant(const c10::OperatorHandle& op, const torch::jit::Stack& arguments) const {
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& value : arguments)
    for (const at::Tensor& tensor : tensors_of(value)) tensors.push_back(tensor);
  const auto on_meta = [](const c10::IValue& v) { return v.isDevice() && v.toDevice().is_meta(); };
  if (tensors.empty())
    return makes_unwritten(toString(op.operator_name())) &&
           std::none_of(arguments.begin(), arguments.end(), on_meta);
  return std::all_of(tensors.begin(), tensors.end(),
                     [&](const at::Tensor& tensor) { return constants_.contains(memory(tensor)); });
}

void Tracer::bind(const at::Tensor& tensor, Value value) {
  if (!tensor.defined()) return;
  const auto* impl = tensor.unsafeGetTensorImpl();
  if (parameters_.contains(impl)) return;  // passed through: dropout of eval(), to() of the same
  const auto version = versions_.find(memory(tensor));
  values_[impl] = {value, version == versions_.end() ? 0 : version->second};
  if (memory(tensor) != nullptr) latest_[memory(tensor)] = tensor;
  alive_.push_back(tensor);
}

void Tracer::bind_outputs(size_t count, const torch::jit::Stack& stack, NodeId id) {
  int32_t output = 0;
  for (size_t i = stack.size() - count; i < stack.size(); ++i) {
    const c10::IValue& value = stack[i];
    if (value.isTensorList())
      for (const c10::IValue& item : value.toListRef()) bind(item.toTensor(), {id, output++});
    else if (value.isTensor())
      bind(value.toTensor(), {id, output++});
    else
      ++output;
  }
}

std::string Tracer::take_over_write(const c10::OperatorHandle& op, const torch::jit::Stack& given) {
  const std::string name = toString(op.operator_name());
  const auto form = functional_form(op);
  const at::Tensor written = written_tensor(op.schema(), given);
  TORCH_CHECK_VALUE(form && written.defined(), where(), name,
                    " changes a tensor in place and has no form that returns a new one: expected "
                    "an operator that has.");
  const auto parameter = parameter_memory_.find(memory(written));
  TORCH_CHECK_VALUE(parameter == parameter_memory_.end(), where(), name, " changes ",
                    parameter->second, " in place: expected parameters that stay as they are.");
  const bool overwrites =
      *form == "aten::copy" || *form == "aten::zero" || form->starts_with("aten::fill.");
  if (overwrites) unwritten_.erase(memory(written));
  for (const c10::IValue& value : given)
    for (const at::Tensor& x : tensors_of(value))
      TORCH_CHECK_VALUE(
          overwrites || x.dim() == 0 || !x.is_floating_point() || x.dtype() == written.dtype(),
          where(), name, " changes a tensor of ", written.dtype(), " by one of ", x.dtype(),
          ": expected the same dtype. Convert one of them before.");
  return *form;
}

void Tracer::record(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto count = static_cast<std::ptrdiff_t>(schema.arguments().size());
  const torch::jit::Stack given(stack->end() - count, stack->end());
  const bool writes = schema.is_mutable();
  Node node{NodeKind::kCall, toString(op.operator_name()), scope(), {}};
  if (writes) node.target = take_over_write(op, given);
  owner_.clear();
  for (const c10::IValue& value : given) node.arguments.push_back(argument(value, node.target));
  if (!owner_.empty()) node.module = owner_;
  call_for_shapes(op, stack);
  if (writes) {
    const void* changed = memory(written_tensor(schema, given));
    ++versions_[changed];
    constants_.erase(changed);
  }
  const bool is_unwritten = makes_unwritten(node.target);
  graph_.nodes.push_back(std::move(node));
  bind_outputs(schema.returns().size(), *stack, graph_.size() - 1);
  if (is_unwritten) unwritten_.insert(memory(stack->back().toTensor()));
}

void Tracer::call(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto count = static_cast<std::ptrdiff_t>(schema.arguments().size());
  const torch::jit::Stack given(stack->end() - count, stack->end());
  const bool constant = is_constant(op, given);
  if (!constant) check_traceable(op, given, where());
  try {
    // A number (size, stride) asked for through the dispatcher is a constant of the trace.
    const bool gives_tensors =
        std::any_of(schema.returns().begin(), schema.returns().end(), is_tensor_type);
    if (!constant && (gives_tensors || schema.is_mutable())) return record(op, stack);
    op.callBoxed(stack);
  } catch (c10::Error& error) {
    error.add_context("while tracing " + toString(op.operator_name()) + " of module \"" + scope() +
                      "\"");
    throw;
  }
  if (!constant) return;
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); ++i)
    for (const at::Tensor& tensor : tensors_of((*stack)[i])) {
      constants_.insert(memory(tensor));
      alive_.push_back(tensor);
    }
}

Graph Tracer::run(const std::function<at::Tensor(const at::Tensor&)>& forward,
                  const at::Tensor& input) {
  graph_.nodes.push_back({NodeKind::kInput, options_.input, "", {}});
  bind(input, {0, 0});
  const at::Tensor output = forward(input);
  TORCH_CHECK_VALUE(output.defined(), "[trace] forward gave an undefined tensor.");
  Node node{NodeKind::kOutput, "output", "", {}};
  node.arguments.push_back(tensor_argument(output, "the output"));
  const bool computed = std::holds_alternative<Value>(node.arguments[0].data);
  TORCH_CHECK_VALUE(computed,
                    "[trace] the output is a constant: expected a tensor that is computed "
                    "from the input.");
  graph_.nodes.push_back(std::move(node));
  return graph_;
}

}  // namespace laconic::graph
