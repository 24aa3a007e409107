#include "laconic/graph/attention_quantizers.h"

#include <algorithm>
#include <array>

#include "laconic/graph/operators.h"
#include "laconic/graph/rewrite.h"

namespace laconic::graph {
namespace {

constexpr size_t kQueries = 0, kKeys = 1, kValues = 2;

bool is_attention(const Node& node) {
  return node.kind == NodeKind::kCall && node.target == "laconic::attention";
}

/// attention(q, k, v, scale, window, softcap) -> attention_recent(q, k, v, k, v, recent, ...).
void see_recent_in_float(Node& node, int64_t recent) {
  node.target = "laconic::attention_recent";
  node.arguments.insert(node.arguments.begin() + 3,
                        {node.arguments[kKeys], node.arguments[kValues], c10::IValue(recent)});
}

/// What stands before the call `node` of `graph`, whose quantizers grow.
Insertion quantizers_before(Graph& graph, const Node& node, const AttentionQuantizers& quantizers) {
  struct Role {
    const std::optional<QuantSpec>& spec;
    const char* name;
    size_t argument;
  };
  const std::array<Role, 3> roles = {{{quantizers.queries, "queries", kQueries},
                                      {quantizers.keys, "keys", kKeys},
                                      {quantizers.values, "values", kValues}}};
  Insertion insertion;
  for (const Role& role : roles) {
    if (!role.spec) continue;
    const std::string name = node.module + "." + role.name;
    TORCH_CHECK_VALUE(graph.quantizers.emplace(name, Quantizer{*role.spec, std::nullopt}).second,
                      "[attention] ", name, ": expected ", role.name,
                      " that are not quantized yet, of the only attention of their module.");
    insertion.nodes.push_back(
        {NodeKind::kQuantize, name, node.module, {node.arguments[role.argument]}});
    insertion.redirect[role.argument] = {-static_cast<NodeId>(insertion.nodes.size()), 0};
  }
  return insertion;
}

/// attention(q, k, v, scale, window, softcap) -> attend(Q(attention_shares(q, k, ...)), v).
/// @param insertion  what stands before the call already.
void quantize_shares(Graph& graph, Node& node, const QuantSpec& spec, Insertion& insertion) {
  const auto argument = [&](size_t place) -> Argument {
    const auto quantized = insertion.redirect.find(place);
    return quantized == insertion.redirect.end() ? node.arguments[place] : quantized->second;
  };
  const auto last = [&] { return Value{-static_cast<NodeId>(insertion.nodes.size()), 0}; };
  insertion.nodes.push_back({NodeKind::kCall,
                             "laconic::attention_shares",
                             node.module,
                             {argument(kQueries), argument(kKeys), node.arguments[3],
                              node.arguments[4], node.arguments[5]}});
  const std::string name = node.module + ".probabilities";
  graph.quantizers.emplace(name, Quantizer{spec, std::nullopt});
  insertion.nodes.push_back({NodeKind::kQuantize, name, node.module, {last()}});
  node.target = "laconic::attend";
  node.arguments = {last(), argument(kValues)};
  insertion.redirect.clear();
}

}  // namespace

std::vector<std::string> attention_modules(const Graph& graph) {
  std::vector<std::string> modules;
  for (const Node& node : graph.nodes)
    if (is_attention(node)) modules.push_back(node.module);
  return modules;
}

Graph place_attention_quantizers(const Graph& graph,
                                 const std::map<std::string, AttentionQuantizers>& quantizers) {
  register_operators();
  const auto modules = attention_modules(graph);
  for (const auto& [module, unused] : quantizers)
    TORCH_CHECK_VALUE(std::find(modules.begin(), modules.end(), module) != modules.end(),
                      "[attention] ", module, ": expected a module that calls laconic::attention.");
  Graph with = graph;
  std::map<NodeId, Insertion> insertions;
  for (NodeId id = 0; id < with.size(); ++id) {
    Node& node = with.nodes[static_cast<size_t>(id)];
    const auto found = is_attention(node) ? quantizers.find(node.module) : quantizers.end();
    if (found == quantizers.end()) continue;
    const AttentionQuantizers& own = found->second;
    TORCH_CHECK_VALUE(!own.probabilities || own.residual == 0, "[attention] ", node.module,
                      ": expected quantized probabilities or a residual, got both. Leave one out.");
    insertions[id] = quantizers_before(with, node, own);
    if (own.residual > 0) see_recent_in_float(node, own.residual);
    if (own.probabilities) quantize_shares(with, node, *own.probabilities, insertions[id]);
  }
  return insert_before(with, insertions);
}

}  // namespace laconic::graph
