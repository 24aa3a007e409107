#include "laconic/graph/trace.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>
#include <torch/nn/module.h>

#include <memory>
#include <unordered_map>

#include "laconic/graph/merge.h"
#include "laconic/graph/operators.h"
#include "laconic/graph/rewrite.h"

namespace laconic::graph {
namespace {

constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

class Tracer {
 public:
  Tracer(const torch::nn::Module& module, const TraceOptions& options) : options_(options) {
    for (const auto& item : module.named_modules("", /*include_self=*/false))
      paths_.emplace(item.value().get(), rename(item.key()));
    for (const auto& item : module.named_parameters()) name_tensor(item.key(), item.value());
    for (const auto& item : module.named_buffers()) name_tensor(item.key(), item.value());
  }

  void enter(const torch::nn::Module* module) {
    const auto found = paths_.find(module);
    scopes_.push_back(found != paths_.end() ? found->second : scope());
  }
  void leave() { scopes_.pop_back(); }

  Graph run(const std::function<at::Tensor(const at::Tensor&)>& forward, const at::Tensor& input);
  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack);

 private:
  std::string rename(const std::string& name) const {
    return options_.rename ? options_.rename(name) : name;
  }
  std::string scope() const { return scopes_.empty() ? std::string() : scopes_.back(); }
  std::string where() const { return "[trace] module \"" + scope() + "\": "; }

  void name_tensor(const std::string& name, const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    parameters_.emplace(tensor.unsafeGetTensorImpl(), rename(name));
    alive_.push_back(tensor);
  }

  Argument argument(const c10::IValue& value, const std::string& op);
  Argument tensor_argument(const at::Tensor& tensor, const std::string& op);
  Value add_parameter(const std::string& name);
  void bind(const at::Tensor& tensor, Value value);
  void bind_outputs(const c10::FunctionSchema& schema, const torch::jit::Stack& stack, NodeId id);
  void check_operator(const c10::OperatorHandle& op, const torch::jit::Stack& arguments) const;

  const TraceOptions& options_;
  std::unordered_map<const torch::nn::Module*, std::string> paths_;
  std::unordered_map<const c10::TensorImpl*, std::string> parameters_;
  std::unordered_map<const c10::TensorImpl*, Value> values_;
  std::vector<at::Tensor> alive_;  // addresses of tensors name values, so none may be reused
  std::vector<std::string> scopes_;
  std::string owner_;  // module of the last parameter of the call at hand
  Graph graph_;
};

thread_local Tracer* active = nullptr;

Value Tracer::add_parameter(const std::string& name) {
  // One node a use: a tied weight is not a value that lives from the first layer to the last.
  const size_t dot = name.rfind('.');
  const std::string owner = dot == std::string::npos ? "" : name.substr(0, dot), here = scope();
  const bool inside = here.empty() || owner == here || owner.starts_with(here + ".");
  if (inside && owner_.empty()) owner_ = owner;
  graph_.nodes.push_back({NodeKind::kParameter, name, inside ? owner : here, {}});
  return {graph_.size() - 1, 0};
}

Argument Tracer::tensor_argument(const at::Tensor& tensor, const std::string& op) {
  if (!tensor.defined()) return c10::IValue();
  const auto* impl = tensor.unsafeGetTensorImpl();
  if (const auto value = values_.find(impl); value != values_.end()) return value->second;
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
  TORCH_CHECK_VALUE(!value.isGenerator(), where(), op, " is random: expected no generator.");
  return value;
}

void Tracer::check_operator(const c10::OperatorHandle& op,
                            const torch::jit::Stack& arguments) const {
  if (!op.hasTag(at::Tag::nondeterministic_seeded)) return;
  const auto& names = op.schema().arguments();
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i].name();
    if ((name == "dropout_p" || name == "p") && arguments[i].isDouble() &&
        arguments[i].toDouble() == 0.0)
      return;
    if ((name == "train" || name == "training") && arguments[i].isBool() && !arguments[i].toBool())
      return;
  }
  TORCH_CHECK_VALUE(false, where(), op.operator_name(),
                    " is random: expected none in a traced network. ",
                    "Call eval() on the module before.");
}

void Tracer::bind(const at::Tensor& tensor, Value value) {
  if (!tensor.defined()) return;
  const auto* impl = tensor.unsafeGetTensorImpl();
  TORCH_CHECK_VALUE(!parameters_.contains(impl), where(), graph_.nodes[value.node].target,
                    " changes ", parameters_.at(impl),
                    " in place: expected parameters that stay as they are.");
  values_[impl] = value;
  alive_.push_back(tensor);
}

void Tracer::bind_outputs(const c10::FunctionSchema& schema, const torch::jit::Stack& stack,
                          NodeId id) {
  const size_t count = schema.returns().size(), first = stack.size() - count;
  int32_t output = 0;
  for (size_t i = 0; i < count; ++i) {
    const c10::IValue& value = stack[first + i];
    if (value.isTensorList())
      for (const c10::IValue& item : value.toListRef()) bind(item.toTensor(), {id, output++});
    else if (value.isTensor())
      bind(value.toTensor(), {id, output++});
    else
      ++output;
  }
}

void Tracer::call(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const size_t count = schema.arguments().size();
  const torch::jit::Stack given(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
  op.callBoxed(stack);
  const auto is_tensor = [](const c10::Argument& type) {
    return type.type()->isSubtypeOf(*c10::TensorType::get()) ||
           type.type()->isSubtypeOf(*c10::ListType::ofTensors());
  };
  // A number (size, stride) asked for through the dispatcher is a constant of the trace.
  if (std::none_of(schema.returns().begin(), schema.returns().end(), is_tensor) &&
      !schema.is_mutable())
    return;
  check_operator(op, given);
  Node node{NodeKind::kCall, toString(op.operator_name()), scope(), {}};
  owner_.clear();
  for (const c10::IValue& value : given) node.arguments.push_back(argument(value, node.target));
  if (!owner_.empty()) node.module = owner_;
  graph_.nodes.push_back(std::move(node));
  bind_outputs(schema, *stack, graph_.size() - 1);
}

Graph Tracer::run(const std::function<at::Tensor(const at::Tensor&)>& forward,
                  const at::Tensor& input) {
  graph_.nodes.push_back({NodeKind::kInput, options_.input, "", {}});
  bind(input, {0, 0});
  at::Tensor output;
  {
    const at::NoGradGuard no_grad;
    const c10::impl::IncludeDispatchKeyGuard watch(kKey);
    struct Activate {
      explicit Activate(Tracer* tracer) { active = tracer; }
      ~Activate() { active = nullptr; }
    } activate(this);
    output = forward(input);
  }
  TORCH_CHECK_VALUE(output.defined(), "[trace] forward gave an undefined tensor.");
  Node node{NodeKind::kOutput, "output", "", {}};
  node.arguments.push_back(tensor_argument(output, "the output"));
  graph_.nodes.push_back(std::move(node));
  return graph_;
}

void record(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard guard(kKey);
  if (active == nullptr)
    op.callBoxed(stack);
  else
    active->call(op, stack);
}

/// LibTorch has shapes-only kernels of some operators in Python alone; embeddings need this one.
at::Tensor index_select_shape(const at::Tensor& x, int64_t dim, const at::Tensor& index) {
  auto shape = x.sizes().vec();
  shape.at(dim < 0 ? dim + x.dim() : dim) = index.numel();
  return x.new_empty(shape);
}

void register_shapes() {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::index_select", "");
  if (op.hasKernelForDispatchKey(c10::DispatchKey::Meta)) return;
  auto made = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", c10::DispatchKey::Meta,
                                               __FILE__, __LINE__);
  made->impl("index_select", TORCH_FN(index_select_shape));
  made.release();
}

void register_tracer() {
  static const torch::Library* const library = [] {
    auto made =
        std::make_unique<torch::Library>(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
    made->fallback(torch::CppFunction::makeFromBoxedFunction<&record>());
    register_shapes();
    return made.release();
  }();
  (void)library;
}

at::Device device_of(const torch::nn::Module& module) {
  const auto parameters = module.parameters();
  return parameters.empty() ? at::Device(at::kCPU) : parameters.front().device();
}

// Distinct primes, unlikely as sizes of layers.
constexpr InputShape kFirst{3, 11}, kSecond{5, 13};

}  // namespace

ModuleScope::ModuleScope(const torch::nn::Module& module) {
  if (active != nullptr) active->enter(&module);
}

ModuleScope::~ModuleScope() {
  if (active != nullptr) active->leave();
}

Graph trace(const torch::nn::Module& module,
            const std::function<at::Tensor(const at::Tensor&)>& forward,
            const TraceOptions& options) {
  TORCH_CHECK_VALUE(active == nullptr,
                    "[trace] a trace is under way in this thread: expected one at a time.");
  register_operators();
  register_tracer();
  const auto once = [&](InputShape shape) {
    const auto input =
        options.example ? options.example(shape.batch, shape.length)
                        : at::zeros({shape.batch, shape.length},
                                    at::TensorOptions().dtype(at::kLong).device(device_of(module)));
    Tracer tracer(module, options);
    return tracer.run(forward, input);
  };
  Graph graph = remove_unused(merge_traces(once(kFirst), kFirst, once(kSecond), kSecond));
  graph.check();
  return graph;
}

}  // namespace laconic::graph
