#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic::graph {

using NodeId = int32_t;

/// One output of one node.
struct Value {
  NodeId node = -1;
  int32_t output = 0;
  bool operator==(const Value&) const = default;
  auto operator<=>(const Value&) const = default;
};

/// A size that depends on the input: factor * batch^i * length^j, found by tracing at two shapes.
/// Batch and length are the first two sizes of the graph's input, so a node with a size uses the
/// input.
struct Size {
  int64_t factor = 1;
  int32_t batch_power = 0, length_power = 0;
  bool operator==(const Size&) const = default;
};

/// An argument of a call: a constant, a value of the graph, a list that mixes values and constants
/// (Tensor[], int[] with sizes), or a size.
struct Argument;
using ArgumentList = std::vector<Argument>;
struct Argument {
  std::variant<c10::IValue, Value, Size, ArgumentList> data;
  Argument() = default;
  Argument(c10::IValue constant) : data(std::move(constant)) {}
  Argument(Value value) : data(value) {}
  Argument(Size size) : data(size) {}
  Argument(ArgumentList list) : data(std::move(list)) {}
};

enum class NodeKind {
  kInput,      ///< target: name of the input ("input_ids")
  kParameter,  ///< target: name in the checkpoint ("model.layers.0.self_attn.q_proj.weight")
  kCall,       ///< target: operator with overload ("aten::linear", "aten::add.Tensor")
  kQuantize,   ///< target: key in Graph::quantizers; x, or x and scale, or x, scale and zero point
  kOutput,     ///< one argument; its value (Value{id, 0}) is the result
};

struct Node {
  NodeKind kind = NodeKind::kCall;
  std::string target;
  std::string module;  ///< path of the module that was running ("model.layers.0.self_attn.q_proj")
  std::vector<Argument> arguments;
};

/// A quantizer placed in the graph. Scale and zero point are arguments of its node (a static scale:
/// parameters of the graph), or constants here; without either it is dynamic, found anew at each
/// call.
struct Quantizer {
  QuantSpec spec;
  std::optional<QuantParameters> parameters;
};

/// A network as data, in topological order: node i uses only nodes < i. A plain value; passes
/// change their copy.
struct Graph {
  std::vector<Node> nodes;
  std::map<std::string, Quantizer> quantizers;

  /// @throws c10::ValueError when there is no such node.
  const Node& at(NodeId id) const;
  NodeId size() const { return static_cast<NodeId>(nodes.size()); }
  /// The only input / output. @throws c10::ValueError when there is none or more than one.
  NodeId input() const;
  NodeId output() const;
  /// Throws c10::ValueError naming the node when an argument points forward or outside, a quantizer
  /// is unknown, or there is no output.
  void check() const;
};

/// Calls `function(value)` for every value that the node uses, lists included.
void for_each_value(const Node& node, const std::function<void(const Value&)>& function);
/// Whether a size is among the arguments.
bool uses_size(const Node& node);

/// A readable listing, one node a line.
std::string to_string(const Graph& graph);
std::string to_string(const Graph& graph, NodeId id);
/// "%12 aten::linear (model.layers.0.mlp.up_proj)": how messages name a node.
std::string describe(const Graph& graph, NodeId id);

}  // namespace laconic::graph
