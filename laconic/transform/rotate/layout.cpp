#include "laconic/transform/rotate/layout.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "laconic/graph/resolve.h"
#include "laconic/graph/rewrite.h"
#include "laconic/graph/run.h"
#include "laconic/transform/network.h"

namespace laconic::transform {
namespace {

using graph::Argument;
using graph::ArgumentList;
using graph::Graph;
using graph::Node;
using graph::NodeId;
using graph::NodeKind;
using graph::Value;

constexpr std::array<std::string_view, 6> kCopies = {"aten::clone",
                                                     "aten::reshape",
                                                     "aten::flatten.using_ints",
                                                     "aten::repeat_interleave.self_int",
                                                     "aten::repeat",
                                                     "aten::contiguous"};
// Views that change what an element is.
constexpr std::array<std::string_view, 5> kNoMoves = {
    "aten::view.dtype", "aten::view_as_real", "aten::view_as_complex", "aten::real", "aten::imag"};
constexpr std::array<std::string_view, 6> kMaps = {
    "laconic::rope",     "laconic::rope_by_length", "laconic::rope_dynamic",
    "laconic::hadamard", "aten::rms_norm",          "aten::layer_norm"};

/// Whether the node moves the elements of its first argument, its only value.
bool only_moves(const Node& node) {
  if (node.kind != NodeKind::kCall || is_among(kNoMoves, node.target)) return false;
  int values = 0;
  graph::for_each_value(node, [&](const Value&) { ++values; });
  if (values != 1 || !std::holds_alternative<Value>(node.arguments.at(0).data)) return false;
  if (is_among(kCopies, node.target)) return true;
  const auto op = c10::Dispatcher::singleton().findSchema(graph::operator_name(node.target));
  if (!op || op->schema().returns().empty() || op->schema().is_mutable()) return false;
  return op->schema().arguments().at(0).alias_info() != nullptr;
}

/// Batch and length are 1: a size is its factor.
Argument for_one(const Argument& argument) {
  if (const auto* size = std::get_if<graph::Size>(&argument.data)) return c10::IValue(size->factor);
  const auto* list = std::get_if<ArgumentList>(&argument.data);
  if (list == nullptr) return argument;
  ArgumentList result;
  for (const Argument& item : *list) result.push_back(for_one(item));
  return result;
}

}  // namespace

LayoutWalk::LayoutWalk(const Graph& graph) : graph_(graph), users_(graph::users(graph)) {}

at::Tensor LayoutWalk::moved(NodeId id, int32_t output, const at::Tensor& labels) const {
  Graph one;
  one.nodes.push_back({NodeKind::kInput, "labels", "", {}});
  Node node = graph_.at(id);
  for (Argument& argument : node.arguments) argument = for_one(argument);
  node.arguments.at(0) = Value{0, 0};
  one.nodes.push_back(std::move(node));
  one.nodes.push_back({NodeKind::kOutput, "", "", {Value{1, output}}});
  return graph::Runner(std::move(one))(labels, graph::ParameterTable({}));
}

void LayoutWalk::walk(const Value& from, const at::Tensor& labels, const Visit& visit,
                      bool through_maps) const {
  for (const NodeId user : users_.at(static_cast<size_t>(from.node))) {
    const Node& node = graph_.at(user);
    const auto* first =
        node.arguments.empty() ? nullptr : std::get_if<Value>(&node.arguments[0].data);
    if (through_maps && is_among(kMaps, node.target) && first != nullptr && *first == from) {
      walk({user, 0}, labels, visit, through_maps);
      continue;
    }
    if (!only_moves(node)) {
      for (size_t i = 0; i < node.arguments.size(); ++i) {
        const auto* value = std::get_if<Value>(&node.arguments[i].data);
        if (value != nullptr && *value == from) visit(user, i, labels);
        if (std::holds_alternative<ArgumentList>(node.arguments[i].data)) visit(user, i, labels);
      }
      continue;
    }
    if (first == nullptr || *first != from) continue;
    std::set<int32_t> outputs;
    for (const NodeId next : users_.at(static_cast<size_t>(user)))
      graph::for_each_value(graph_.at(next), [&](const Value& value) {
        if (value.node == user) outputs.insert(value.output);
      });
    for (const int32_t output : outputs)
      walk({user, output}, moved(user, output, labels), visit, through_maps);
  }
}

}  // namespace laconic::transform
