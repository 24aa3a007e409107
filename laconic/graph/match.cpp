#include "laconic/graph/match.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "laconic/base/text.h"
#include "laconic/graph/rewrite.h"

namespace laconic::graph {
namespace {

const Value* value_of(const Argument& argument) { return std::get_if<Value>(&argument.data); }

/// Past quantize nodes.
Value unquantized(const Graph& graph, Value value) {
  while (graph.nodes[value.node].kind == NodeKind::kQuantize)
    value = *value_of(graph.nodes[value.node].arguments[0]);
  return value;
}

std::optional<int64_t> constant_int(const Argument& argument) {
  const auto* constant = std::get_if<c10::IValue>(&argument.data);
  return constant != nullptr && constant->isInt() ? std::optional(constant->toInt()) : std::nullopt;
}

/// Whether the node swaps the two dimensions of a matrix.
bool is_transposition(const Node& node) {
  if (node.kind != NodeKind::kCall) return false;
  if (node.target == "aten::t" || node.target == "aten::numpy_T") return true;
  if (node.target != "aten::transpose.int") return false;
  const auto first = constant_int(node.arguments[1]), second = constant_int(node.arguments[2]);
  return first && second && (*first + 2) % 2 != (*second + 2) % 2;
}

std::optional<LinearLayer> linear_layer(const Graph& graph, NodeId id) {
  const Node& node = graph.nodes[id];
  if (node.kind != NodeKind::kCall || node.target != "aten::linear") return std::nullopt;
  const Value *input = value_of(node.arguments[0]), *weight = value_of(node.arguments[1]);
  if (input == nullptr || weight == nullptr) return std::nullopt;
  LinearLayer layer{
      node.module, "", false, id, unquantized(graph, *input), unquantized(graph, *weight)};
  Value source = layer.weight;
  if (is_transposition(graph.nodes[source.node])) {
    layer.transposed = true;
    source = unquantized(graph, *value_of(graph.nodes[source.node].arguments[0]));
  }
  const Node& parameter = graph.nodes[source.node];
  if (parameter.kind != NodeKind::kParameter) return std::nullopt;
  layer.weight_name = parameter.target;
  return layer;
}

std::optional<LinearLayer> embedding(const Graph& graph, NodeId id) {
  const Node& node = graph.nodes[id];
  if (node.kind != NodeKind::kCall || node.target != "aten::embedding") return std::nullopt;
  const Value *table = value_of(node.arguments[0]), *ids = value_of(node.arguments[1]);
  if (table == nullptr || ids == nullptr) return std::nullopt;
  LinearLayer layer{node.module, "", false, id, *ids, unquantized(graph, *table), true};
  const Node& parameter = graph.nodes[layer.weight.node];
  if (parameter.kind != NodeKind::kParameter) return std::nullopt;
  layer.weight_name = parameter.target;
  return layer;
}

/// Names of the parameters that a quantizer reads from the graph.
std::vector<std::string> stored_parameters(const Quantizer& quantizer, const std::string& name) {
  if (quantizer.parameters || !std::holds_alternative<StaticScale>(quantizer.spec.scale)) return {};
  if (std::holds_alternative<NoZeroPoint>(quantizer.spec.zero_point)) return {name + "_scale"};
  return {name + "_scale", name + "_zero_point"};
}

/// The last node of an insertion, as its own nodes name it.
Value last_of(const Insertion& insertion) {
  return {-static_cast<NodeId>(insertion.nodes.size()), 0};
}

std::vector<std::string> layer_names(const Graph& graph) {
  std::vector<std::string> names;
  for (NodeId id = 0; id < graph.size(); ++id)
    if (const auto layer = linear_layer(graph, id)) names.push_back(layer->name);
  return names;
}

LinearLayer named_layer(const Graph& graph, const std::string& name) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph.nodes[id].module != name) continue;
    if (auto layer = linear_layer(graph, id)) return *layer;
  }
  TORCH_CHECK_VALUE(false, "[match] no linear layer \"", name,
                    "\" in the graph. find_linear_layers lists them.");
}

/// A number among the parts of a module path: "model.layers" and 3 of "model.layers.3.mlp".
struct Sibling {
  std::string parent;
  int64_t number;
};

std::vector<Sibling> siblings(const std::string& path) {
  std::vector<Sibling> result;
  size_t begin = 0;
  while (begin < path.size()) {
    const size_t end = std::min(path.find('.', begin), path.size());
    int64_t number = -1;
    const auto parsed = std::from_chars(path.data() + begin, path.data() + end, number);
    if (parsed.ec == std::errc() && parsed.ptr == path.data() + end && number >= 0)
      result.push_back({path.substr(0, begin == 0 ? 0 : begin - 1), number});
    begin = end + 1;
  }
  return result;
}

struct Family {
  std::set<int64_t> numbers;
  NodeId nodes = 0;
};

/// The parent whose numbered children hold the most nodes; of several the one with more children (a
/// block of one child of a larger one holds as many).
std::string longest_family(const std::map<std::string, Family>& families) {
  const auto best =
      std::max_element(families.begin(), families.end(), [](const auto& a, const auto& b) {
        return std::pair(a.second.nodes, a.second.numbers.size()) <
               std::pair(b.second.nodes, b.second.numbers.size());
      });
  return best->first;
}

void check_entry(const Graph& graph, const Block& block, const Block& first) {
  std::set<Value> entering;
  for (NodeId id = block.begin; id < graph.size(); ++id) {
    for_each_value(graph.nodes[id], [&](const Value& value) {
      if (value.node < block.begin && graph.nodes[value.node].kind != NodeKind::kParameter)
        entering.insert(value);
    });
    if (uses_size(graph.nodes[id])) entering.insert({graph.input(), 0});
  }
  if (entering.size() == 1) return;
  std::string names;
  for (const Value& value : entering)
    names += (names.empty() ? "" : ", ") + describe(graph, value.node);
  TORCH_CHECK_VALUE(false, "[find_blocks] block \"", block.name,
                    "\": expected one value to enter it, got ", entering.size(), " (", names,
                    "). Blocks of \"", first.name, "\" cannot be run one by one.");
}

/// Which block each node is of: numbered child of `parent`, -1 outside.
std::vector<int64_t> block_numbers(const Graph& graph, const std::string& parent) {
  std::vector<int64_t> result;
  for (const Node& node : graph.nodes) {
    int64_t number = -1;
    for (const Sibling& sibling : siblings(node.module))
      if (sibling.parent == parent && number < 0) number = sibling.number;
    result.push_back(number);
  }
  return result;
}

}  // namespace

std::vector<LinearLayer> find_linear_layers(const Graph& graph) {
  std::vector<LinearLayer> layers;
  for (NodeId id = 0; id < graph.size(); ++id)
    if (auto layer = linear_layer(graph, id)) layers.push_back(*layer);
  return layers;
}

std::vector<LinearLayer> find_embeddings(const Graph& graph) {
  std::vector<LinearLayer> layers;
  for (NodeId id = 0; id < graph.size(); ++id)
    if (auto layer = embedding(graph, id)) layers.push_back(*layer);
  return layers;
}

const Block* block_of(const std::vector<Block>& blocks, const LinearLayer& layer) {
  for (const Block& block : blocks) {
    if (layer.node >= block.begin && layer.node < block.end) return &block;
  }
  return nullptr;
}

std::vector<Block> find_blocks(const Graph& graph) {
  std::map<std::string, Family> families;
  for (const Node& node : graph.nodes)
    for (const Sibling& sibling : siblings(node.module)) {
      families[sibling.parent].numbers.insert(sibling.number);
      ++families[sibling.parent].nodes;
    }
  if (families.empty()) return {};
  const std::string parent = longest_family(families);
  std::vector<Block> blocks;
  const auto numbers = block_numbers(graph, parent);
  std::set<int64_t> seen;
  int64_t last = -1;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (numbers[id] < 0) continue;
    const std::string name = (parent.empty() ? "" : parent + ".") + std::to_string(numbers[id]);
    if (numbers[id] != last) {
      TORCH_CHECK_VALUE(seen.insert(numbers[id]).second, "[find_blocks] nodes of \"", name,
                        "\" interleave with those of \"", blocks.back().name, "\" at ",
                        describe(graph, id), ": expected one block after the other.");
      // What lies between two blocks runs with the one before, so that running all blocks runs
      // everything.
      if (!blocks.empty()) blocks.back().end = id;
      blocks.push_back({name, id, id + 1});
      last = numbers[id];
    }
    blocks.back().end = id + 1;
  }
  for (const Block& block : blocks) check_entry(graph, block, blocks.front());
  return blocks;
}

Graph place_quantizers(const Graph& graph, const std::map<std::string, LayerQuantizers>& layers) {
  std::map<NodeId, Insertion> insertions;
  Graph with = graph;
  std::set<std::string> found;
  for (const LinearLayer& layer : find_linear_layers(graph)) {
    const auto asked = layers.find(layer.name);
    if (asked == layers.end()) continue;
    found.insert(layer.name);
    Insertion& insertion = insertions[layer.node];
    const auto add = [&](const std::optional<Quantizer>& quantizer, const char* role,
                         size_t argument) {
      if (!quantizer) return;
      const std::string name = layer.name + "." + role;
      with.quantizers[name] = *quantizer;
      const Value source = argument == 0 ? layer.input : layer.weight;
      std::vector<Argument> arguments = {source};
      for (const std::string& parameter : stored_parameters(*quantizer, name)) {
        insertion.nodes.push_back({NodeKind::kParameter, parameter, layer.name, {}});
        arguments.emplace_back(last_of(insertion));
      }
      insertion.nodes.push_back({NodeKind::kQuantize, name, layer.name, std::move(arguments)});
      insertion.redirect[argument] = last_of(insertion);
    };
    add(asked->second.input, "input", 0);
    add(asked->second.weight, "weight", 1);
  }
  for (const auto& [name, unused] : layers)
    TORCH_CHECK_VALUE(found.contains(name), "[place_quantizers] no linear layer \"", name,
                      "\" in the graph", suggestion(name, layer_names(graph)), ".");
  Graph result = remove_unused(insert_before(with, insertions));
  std::set<std::string> used;
  for (const Node& node : result.nodes)
    if (node.kind == NodeKind::kQuantize) used.insert(node.target);
  std::erase_if(result.quantizers, [&](const auto& item) { return !used.contains(item.first); });
  return result;
}

Graph place_by_patterns(const Graph& graph, const std::vector<Placement>& rules) {
  const auto layers = find_linear_layers(graph);
  std::map<std::string, LayerQuantizers> placed;
  for (const Placement& rule : rules) {
    bool matched = false;
    for (const LinearLayer& layer : layers) {
      if (!matches_pattern(layer.name, rule.pattern)) continue;
      placed[layer.name] = rule.quantizers;
      matched = true;
    }
    TORCH_CHECK_VALUE(matched, "[place_by_patterns] pattern \"", rule.pattern,
                      "\" matches no linear layer of ", layers.size(),
                      ". find_linear_layers lists them.");
  }
  return place_quantizers(graph, placed);
}

Graph quantize_weight(const Graph& graph, const LinearLayer& layer, const Quantizer& quantizer) {
  named_layer(graph, layer.name);
  return place_quantizers(graph, {{layer.name, {.weight = quantizer, .input = std::nullopt}}});
}

Graph quantize_input(const Graph& graph, const LinearLayer& layer, const Quantizer& quantizer) {
  named_layer(graph, layer.name);
  return place_quantizers(graph, {{layer.name, {.weight = std::nullopt, .input = quantizer}}});
}

}  // namespace laconic::graph
