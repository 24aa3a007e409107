#pragma once

#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "laconic/graph/graph.h"
#include "laconic/graph/parameters.h"

namespace laconic::graph {

/// Values that are alive between two nodes.
using Environment = std::map<Value, at::Tensor>;

/// Runs ranges of a graph. Resolves operators once; interpretation costs under a microsecond a node.
/// Autograd works through it. A value is dropped after its last use inside the range unless it is
/// used after the range as well.
class Runner {
 public:
  explicit Runner(const Graph& graph);

  /// Runs nodes [begin, end). Values that the range needs from before must be in `environment`; on return
  /// it holds the values that nodes >= end need (and those in `keep`), nothing else.
  void run(NodeId begin, NodeId end, const Parameters& parameters, Environment& environment,
           const std::vector<Value>& keep = {}) const;

  /// Whole graph, one input, one output (input_ids [batch, length] int64 -> logits).
  at::Tensor operator()(const at::Tensor& input, const Parameters& parameters) const;

  /// The values made before `at` that nodes >= `at` use.
  std::vector<Value> live_before(NodeId at) const;

 private:
  const Graph& graph_;
  struct Step;
  std::vector<std::shared_ptr<const Step>> steps_;
};

}  // namespace laconic::graph
