#include "laconic/graph/fuse_linear.h"

#include <optional>

#include "laconic/graph/rewrite.h"

namespace laconic::graph {
namespace {

const Node* node_of(const Graph& graph, const Argument& argument) {
  const auto* value = std::get_if<Value>(&argument.data);
  return value != nullptr && value->output == 0 ? &graph.nodes[value->node] : nullptr;
}

bool is_call(const Node* node, const char* target) {
  return node != nullptr && node->kind == NodeKind::kCall && node->target == target;
}

bool is_one(const Argument& argument) {
  const auto* constant = std::get_if<c10::IValue>(&argument.data);
  return constant != nullptr && constant->isScalar() && constant->toScalar().equal(1);
}

/// A weight as matmul takes it.
struct Weight {
  std::string layer;  ///< NAME of NAME.weight
  std::string module;
  Argument value;  ///< before the transposition
};

std::optional<Weight> transposed_weight(const Graph& graph, const Argument& argument) {
  const Node* transposed = node_of(graph, argument);
  if (!is_call(transposed, "aten::t")) return std::nullopt;
  const Node* parameter = node_of(graph, transposed->arguments[0]);
  constexpr std::string_view kEnd = ".weight";
  if (parameter == nullptr || parameter->kind != NodeKind::kParameter ||
      !parameter->target.ends_with(kEnd))
    return std::nullopt;
  return Weight{parameter->target.substr(0, parameter->target.size() - kEnd.size()),
                transposed->module, transposed->arguments[0]};
}

bool is_bias_of(const Graph& graph, const Argument& argument, const Weight& weight) {
  const Node* node = node_of(graph, argument);
  return node != nullptr && node->kind == NodeKind::kParameter &&
         node->target == weight.layer + ".bias";
}

void become_linear(Node& node, const Weight& weight, const Argument& input, const Argument& bias) {
  node = {NodeKind::kCall, "aten::linear", weight.module, {input, weight.value, bias}};
}

}  // namespace

Graph fuse_linear(const Graph& graph) {
  Graph result = graph;
  const auto used_by = users(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.nodes[id];
    if (is_call(&node, "aten::matmul")) {
      const auto weight = transposed_weight(graph, node.arguments[1]);
      if (weight) become_linear(result.nodes[id], *weight, node.arguments[0], c10::IValue());
    } else if (is_call(&node, "aten::add.Tensor") && is_one(node.arguments[2])) {
      const Node* product = node_of(graph, node.arguments[0]);
      if (!is_call(product, "aten::matmul")) continue;
      const auto weight = transposed_weight(graph, product->arguments[1]);
      const bool only_here = used_by[std::get<Value>(node.arguments[0].data).node].size() == 1;
      if (weight && only_here && is_bias_of(graph, node.arguments[1], *weight))
        become_linear(result.nodes[id], *weight, product->arguments[0], node.arguments[1]);
    } else if (is_call(&node, "aten::addmm") && is_one(node.arguments[3]) &&
               is_one(node.arguments[4])) {
      const auto weight = transposed_weight(graph, node.arguments[2]);
      if (weight && is_bias_of(graph, node.arguments[0], *weight))
        become_linear(result.nodes[id], *weight, node.arguments[1], node.arguments[0]);
    }
  }
  return remove_unused(result);
}

}  // namespace laconic::graph
