#include "laconic/graph/rewrite.h"

#include <functional>

#include "laconic/graph/resolve.h"

namespace laconic::graph {
namespace {

using ValueMap = std::function<Value(const Value&)>;

Argument mapped(const Argument& argument, const ValueMap& map) {
  if (const auto* value = std::get_if<Value>(&argument.data)) return map(*value);
  const auto* list = std::get_if<ArgumentList>(&argument.data);
  if (list == nullptr) return argument;
  ArgumentList result;
  for (const Argument& item : *list) result.push_back(mapped(item, map));
  return result;
}

Node mapped(const Node& node, const ValueMap& map) {
  Node result = node;
  for (Argument& argument : result.arguments) argument = mapped(argument, map);
  return result;
}

bool changes_in_place(const Node& node) {
  if (node.kind != NodeKind::kCall) return false;
  const auto op = c10::Dispatcher::singleton().findSchema(operator_name(node.target));
  return !op || op->schema().is_mutable();
}

}  // namespace

std::vector<std::vector<NodeId>> users(const Graph& graph) {
  std::vector<std::vector<NodeId>> result(graph.nodes.size());
  for (NodeId id = 0; id < graph.size(); ++id)
    for_each_value(graph.nodes[id], [&](const Value& value) {
      auto& list = result[value.node];
      if (list.empty() || list.back() != id) list.push_back(id);
    });
  return result;
}

Graph insert_before(const Graph& graph, const std::map<NodeId, Insertion>& insertions,
                    NodeMap* moved) {
  Graph result;
  result.quantizers = graph.quantizers;
  NodeMap map(graph.nodes.size(), -1);
  for (NodeId id = 0; id < graph.size(); ++id) {
    const NodeId base = result.size();
    const auto renumber = [&](const Value& value) {
      return value.node >= 0 ? Value{map[value.node], value.output}
                             : Value{base + (-1 - value.node), value.output};
    };
    const auto found = insertions.find(id);
    if (found != insertions.end())
      for (const Node& node : found->second.nodes) result.nodes.push_back(mapped(node, renumber));
    Node node = graph.nodes[id];
    if (found != insertions.end())
      for (const auto& [argument, value] : found->second.redirect)
        node.arguments.at(argument) = value;
    node = mapped(node, renumber);
    map[id] = result.size();
    result.nodes.push_back(std::move(node));
  }
  if (moved != nullptr) *moved = std::move(map);
  return result;
}

Graph replace_uses(const Graph& graph, Value from, Value to) {
  Graph result = graph;
  for (NodeId id = 0; id < graph.size(); ++id) {
    bool used = false;
    result.nodes[id] = mapped(graph.nodes[id], [&](const Value& value) {
      used = used || value == from;
      return value == from ? to : value;
    });
    TORCH_CHECK_VALUE(!used || to.node < id, "[replace_uses] ", describe(graph, id), " would use ",
                      describe(graph, to.node), ": expected a node before it.");
  }
  return result;
}

Graph remove_unused(const Graph& graph, NodeMap* moved) {
  std::vector<bool> used(graph.nodes.size(), false);
  for (NodeId id = graph.size() - 1; id >= 0; --id) {
    const Node& node = graph.nodes[id];
    used[id] = used[id] || node.kind == NodeKind::kOutput || node.kind == NodeKind::kInput ||
               changes_in_place(node);
    if (used[id]) for_each_value(node, [&](const Value& value) { used[value.node] = true; });
  }
  Graph result;
  result.quantizers = graph.quantizers;
  NodeMap map(graph.nodes.size(), -1);
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (!used[id]) continue;
    map[id] = result.size();
    result.nodes.push_back(mapped(graph.nodes[id], [&](const Value& value) {
      return Value{map[value.node], value.output};
    }));
  }
  if (moved != nullptr) *moved = std::move(map);
  return result;
}

}  // namespace laconic::graph
