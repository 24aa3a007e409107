#include "laconic/graph/graph.h"

#include <algorithm>
#include <sstream>

#include "laconic/base/variant.h"

namespace laconic::graph {
namespace {

void visit_argument(const Argument& argument, const std::function<void(const Value&)>& function) {
  if (const auto* value = std::get_if<Value>(&argument.data)) function(*value);
  if (const auto* list = std::get_if<ArgumentList>(&argument.data))
    for (const Argument& item : *list) visit_argument(item, function);
}

bool has_size(const Argument& argument) {
  if (std::holds_alternative<Size>(argument.data)) return true;
  if (const auto* list = std::get_if<ArgumentList>(&argument.data))
    for (const Argument& item : *list)
      if (has_size(item)) return true;
  return false;
}

void print(std::ostream& out, const Argument& argument);

void print_list(std::ostream& out, const ArgumentList& list) {
  out << "[";
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out << ", ";
    print(out, list[i]);
  }
  out << "]";
}

void print_size(std::ostream& out, const Size& size) {
  out << size.factor;
  for (int32_t i = 0; i < size.batch_power; ++i) out << "*batch";
  for (int32_t i = 0; i < size.length_power; ++i) out << "*length";
}

void print(std::ostream& out, const Argument& argument) {
  std::visit(Overloaded{[&](const c10::IValue& constant) { out << constant; },
                        [&](const Value& value) {
                          out << "%" << value.node;
                          if (value.output > 0) out << "." << value.output;
                        },
                        [&](const Size& size) { print_size(out, size); },
                        [&](const ArgumentList& list) { print_list(out, list); }},
             argument.data);
}

const char* word(NodeKind kind) {
  switch (kind) {
    case NodeKind::kInput:
      return "input";
    case NodeKind::kParameter:
      return "parameter";
    case NodeKind::kCall:
      return "call";
    case NodeKind::kQuantize:
      return "quantize";
    case NodeKind::kOutput:
      return "output";
  }
  return "unknown";
}

NodeId only(const Graph& graph, NodeKind kind) {
  NodeId found = -1;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph.nodes[id].kind != kind) continue;
    TORCH_CHECK_VALUE(found < 0, "[Graph] ", word(kind), " nodes: expected one, got ",
                      describe(graph, found), " and ", describe(graph, id), ".");
    found = id;
  }
  TORCH_CHECK_VALUE(found >= 0, "[Graph] ", word(kind), " nodes: expected one, got none of ",
                    graph.size(), " nodes.");
  return found;
}

void check_node(const Graph& graph, NodeId id) {
  const Node& node = graph.nodes[id];
  for_each_value(node, [&](const Value& value) {
    TORCH_CHECK_VALUE(value.node >= 0 && value.node < id && value.output >= 0, "[Graph] ",
                      describe(graph, id), " uses %", value.node, ".", value.output,
                      ": expected a node before it.");
    TORCH_CHECK_VALUE(graph.nodes[value.node].kind != NodeKind::kOutput, "[Graph] ",
                      describe(graph, id), " uses %", value.node, ": an output has no users.");
  });
  const bool is_quantizer = node.kind == NodeKind::kQuantize;
  const size_t most = is_quantizer ? 3 : 1;  // scale and zero point
  const bool fits =
      !node.arguments.empty() && node.arguments.size() <= most &&
      std::all_of(node.arguments.begin(), node.arguments.end(), [](const Argument& argument) {
        return std::holds_alternative<Value>(argument.data);
      });
  if (is_quantizer || node.kind == NodeKind::kOutput)
    TORCH_CHECK_VALUE(fits, "[Graph] ", describe(graph, id), ": expected one value as argument",
                      is_quantizer ? ", or a scale and a zero point as well" : "", ", got ",
                      node.arguments.size(), " arguments.");
  if (node.kind == NodeKind::kInput || node.kind == NodeKind::kParameter)
    TORCH_CHECK_VALUE(node.arguments.empty(), "[Graph] ", describe(graph, id),
                      ": expected no arguments, got ", node.arguments.size(), ".");
  if (is_quantizer)
    TORCH_CHECK_VALUE(graph.quantizers.contains(node.target), "[Graph] ", describe(graph, id),
                      ": unknown quantizer \"", node.target, "\". Add it to Graph::quantizers.");
}

}  // namespace

const Node& Graph::at(NodeId id) const {
  TORCH_CHECK_VALUE(id >= 0 && id < size(), "[Graph] no node %", id, ": expected 0 to ", size() - 1,
                    ".");
  return nodes[id];
}

NodeId Graph::input() const { return only(*this, NodeKind::kInput); }
NodeId Graph::output() const { return only(*this, NodeKind::kOutput); }

void Graph::check() const {
  for (NodeId id = 0; id < size(); ++id) check_node(*this, id);
  output();
  input();
}

void for_each_value(const Node& node, const std::function<void(const Value&)>& function) {
  for (const Argument& argument : node.arguments) visit_argument(argument, function);
}

bool uses_size(const Node& node) {
  for (const Argument& argument : node.arguments)
    if (has_size(argument)) return true;
  return false;
}

std::string describe(const Graph& graph, NodeId id) {
  const Node& node = graph.nodes[id];
  std::string text =
      "%" + std::to_string(id) + " " + (node.kind == NodeKind::kCall ? "" : word(node.kind));
  if (node.kind != NodeKind::kCall && !node.target.empty()) text += " ";
  text += node.target;
  if (!node.module.empty()) text += " (" + node.module + ")";
  return text;
}

std::string to_string(const Graph& graph, NodeId id) {
  const Node& node = graph.at(id);
  std::ostringstream out;
  out << "%" << id << " = " << (node.kind == NodeKind::kCall ? "" : word(node.kind));
  if (node.kind != NodeKind::kCall && !node.target.empty()) out << " ";
  out << node.target << "(";
  for (size_t i = 0; i < node.arguments.size(); ++i) {
    if (i > 0) out << ", ";
    print(out, node.arguments[i]);
  }
  out << ")";
  if (!node.module.empty()) out << "  # " << node.module;
  return out.str();
}

std::string to_string(const Graph& graph) {
  std::string text;
  for (NodeId id = 0; id < graph.size(); ++id) text += to_string(graph, id) + "\n";
  return text;
}

}  // namespace laconic::graph
