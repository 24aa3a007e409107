#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "laconic/graph/graph.h"

namespace torch::nn {
class Module;
}

namespace laconic::graph {

/// Says which module is running, for the paths of traced nodes. Does nothing when no trace is under
/// way. The first line of a module's forward: `const graph::ModuleScope scope(*this);`
class ModuleScope {
 public:
  explicit ModuleScope(const torch::nn::Module& module);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;
};

/// `holder->forward(arguments...)` inside the child's scope: for modules whose forward cannot be
/// edited.
template <typename Holder, typename... Arguments>
auto run_in_scope(Holder& holder, Arguments&&... arguments) {
  const ModuleScope scope(*holder);
  return holder->forward(std::forward<Arguments>(arguments)...);
}

struct TraceOptions {
  std::string input = "input_ids";
  /// Makes an example for a batch and a length; not set: int64 zeros [batch, length] where the
  /// parameters are.
  std::function<at::Tensor(int64_t batch, int64_t length)> example;
  /// From names of the module to names of the checkpoint (parameters and module paths); not set:
  /// the same.
  std::function<std::string(const std::string&)> rename;
};

/// Records the operators that `forward` runs, as they are called above autograd (linear, rms_norm,
/// scaled_dot_product_attention stay whole; what torch::nn::Linear calls becomes one linear, see
/// fuse_linear.h). A call in place becomes its functional form: the graph changes no tensor.
/// `module` names parameters, buffers and scopes; its parameters may be on the meta device. A node
/// outside every scope that uses a parameter belongs to the parameter's module. Runs twice, with
/// different batches and lengths: whole numbers that differ become sizes.
/// @throws c10::ValueError naming the module: a tensor that is neither parameter, buffer nor
///         computed from the input; an operator on a fixed device; a random operator; a number
///         asked of a tensor, or a shape that depends on its values; statistics of the batch; out=;
///         a parameter changed in place; use of a tensor of which another view was changed in
///         place; a structure or a constant that depends on the shape in another way than factor *
///         batch^i * length^j.
Graph trace(const torch::nn::Module& module,
            const std::function<at::Tensor(const at::Tensor&)>& forward,
            const TraceOptions& options = {});

}  // namespace laconic::graph
