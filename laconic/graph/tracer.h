#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "laconic/graph/graph.h"
#include "laconic/graph/trace.h"

namespace laconic::graph {

/// One recording of one forward. Tensors are told apart by their addresses, memory by its storage.
///
/// A call in place becomes its functional form, and the changed tensor the new value; another view
/// of the same memory is stale from then on, and using it is refused. Memory that at::empty made on
/// the CPU (at::tensor fills such memory by hand) is a constant; what is computed from constants
/// alone is one, too.
class Tracer {
 public:
  Tracer(const torch::nn::Module& module, const TraceOptions& options);

  void enter(const torch::nn::Module* module);
  void leave() { scopes_.pop_back(); }

  /// @throws c10::ValueError as `trace` says.
  Graph run(const std::function<at::Tensor(const at::Tensor&)>& forward, const at::Tensor& input);
  /// Computes one call and records it.
  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack);

 private:
  struct Bound {
    Value value;
    int64_t version = 0;  ///< of the memory, when the value was bound
  };

  std::string rename(const std::string& name) const {
    return options_.rename ? options_.rename(name) : name;
  }
  std::string scope() const { return scopes_.empty() ? std::string() : scopes_.back(); }
  std::string where() const { return "[trace] module \"" + scope() + "\": "; }

  void name_tensor(const std::string& name, const at::Tensor& tensor);
  /// The tensor that was bound as this one: torch::zeros and its kind hand out a copy of the
  /// handle.
  const at::Tensor& bound_handle(const at::Tensor& tensor) const;
  Value add_parameter(const std::string& name);
  Argument argument(const c10::IValue& value, const std::string& op);
  Argument tensor_argument(const at::Tensor& tensor, const std::string& op);
  bool is_constant(const c10::OperatorHandle& op, const torch::jit::Stack& arguments) const;
  void bind(const at::Tensor& tensor, Value value);
  void bind_outputs(size_t count, const torch::jit::Stack& stack, NodeId id);
  void record(const c10::OperatorHandle& op, torch::jit::Stack* stack);
  /// Checks a call in place. Returns its functional form.
  std::string take_over_write(const c10::OperatorHandle& op, const torch::jit::Stack& given);

  const TraceOptions& options_;
  std::unordered_map<const torch::nn::Module*, std::string> paths_;
  std::unordered_map<const c10::TensorImpl*, std::string> parameters_;
  std::unordered_map<const void*, std::string> parameter_memory_;
  std::unordered_map<const c10::TensorImpl*, Bound> values_;
  std::unordered_map<const void*, at::Tensor> latest_;     ///< the last one bound of a memory
  std::unordered_map<const void*, int64_t> versions_;      ///< writes into a memory so far
  std::unordered_set<const void*> constants_, unwritten_;  ///< memory
  std::vector<at::Tensor> alive_;  // addresses of tensors name values, so none may be reused
  std::vector<std::string> scopes_;
  std::string owner_;  // module of the last parameter of the call at hand
  Graph graph_;
};

}  // namespace laconic::graph
