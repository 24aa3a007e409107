#pragma once

#include <map>
#include <memory>
#include <vector>

#include "laconic/graph/graph.h"
#include "laconic/graph/parameters.h"

namespace laconic::graph {

/// Computes a node in place of its operator: gets the arguments, gives the only output.
using NodeFunction = std::function<at::Tensor(torch::jit::Stack& arguments)>;

/// Values that are alive between two nodes.
using Environment = std::map<Value, at::Tensor>;

/// Runs ranges of a graph. Resolves operators once; interpretation costs under a microsecond a node
/// over direct calls. Autograd works through it; it sets no gradient mode of its own. A value is
/// dropped after its last use inside the range unless it is used after the range as well. Keeps its
/// own copy of the graph; may run on several threads at once.
class Runner {
 public:
  /// @throws c10::ValueError naming the node for a graph that `check` refuses or an unknown
  /// operator.
  explicit Runner(Graph graph);

  const Graph& graph() const;

  /// Runs nodes [begin, end). Values that the range needs from before must be in `environment` (the
  /// input too: {Value{graph.input()}, ids}); on return it holds the values that nodes >= end need,
  /// those in `keep`, and once the output has run the result (Value{graph.output()}); nothing else.
  /// Parameters are no part of it: each is fetched where it is used and released after its last
  /// use.
  /// @throws c10::ValueError naming a value that is absent; an operator's own error with node and
  /// module added.
  void run(NodeId begin, NodeId end, const Parameters& parameters, Environment& environment,
           const std::vector<Value>& keep = {}) const;

  /// Whole graph, one input, one output (input_ids [batch, length] int64 -> logits).
  at::Tensor operator()(const at::Tensor& input, const Parameters& parameters) const;

  /// The same with some calls computed otherwise (a decoder with a cache).
  at::Tensor run_with(const std::map<NodeId, NodeFunction>& instead, const at::Tensor& input,
                      const Parameters& parameters) const;

  /// The values made before `at` that nodes >= `at` use, parameters left out.
  std::vector<Value> live_before(NodeId at) const;

 private:
  struct Plan;
  class Frame;
  void run_range(Frame& frame, NodeId begin, NodeId end) const;

  std::shared_ptr<const Plan> plan_;
};

}  // namespace laconic::graph
