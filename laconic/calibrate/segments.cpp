#include "laconic/calibrate/segments.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <map>
#include <set>

#include "laconic/base/assert.h"

namespace laconic {
namespace {

using graph::Graph;
using graph::LinearLayer;
using graph::NodeId;
using graph::Value;

/// A weight that other nodes than its layer read as well cannot be replaced for the layer alone.
void check_not_shared(const Graph& graph, const LayerPlan& plan) {
  const LinearLayer& layer = plan.layer;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const graph::Node& node = graph.at(id);
    bool reads = false;
    graph::for_each_value(node, [&](const Value& value) {
      const graph::Node& source = graph.at(value.node);
      reads = reads ||
              (source.kind == graph::NodeKind::kParameter && source.target == layer.weight_name);
    });
    if (!reads || id == layer.node || id == layer.weight.node ||
        node.kind == graph::NodeKind::kQuantize)
      continue;
    if (std::find(plan.tied.begin(), plan.tied.end(), node.module) != plan.tied.end()) continue;
    TORCH_CHECK_VALUE(false, "[engine] layer ", layer.name, ": its weight ", layer.weight_name,
                      " is tied to \"", node.module, "\" (", node.target,
                      "), which would change with it. Leave the layer out (skip: true), quantize "
                      "both as one (a rule with layers: [embedding, head] and without a solver), ",
                      "or untie it: by the transform fold_norms, or store the head as a tensor "
                      "lm_head.weight of its own and set tie_word_embeddings to false in "
                      "config.json.");
  }
}

/// Embeddings and linear layers: what can be planned.
std::vector<LinearLayer> layers_of(const Graph& graph) {
  std::vector<LinearLayer> layers = graph::find_embeddings(graph);
  for (LinearLayer& layer : graph::find_linear_layers(graph)) layers.push_back(std::move(layer));
  return layers;
}

/// Plans by layer name, checked.
std::map<std::string, const LayerPlan*> index_plans(const LanguageModel& model,
                                                    const std::vector<LayerPlan>& plans) {
  std::map<std::string, const LayerPlan*> by_name;
  std::set<std::string> known;
  for (const LinearLayer& layer : layers_of(model.graph)) known.insert(layer.name);
  for (const LayerPlan& plan : plans) {
    const std::string& name = plan.layer.name;
    TORCH_CHECK_VALUE(known.contains(name), "[engine] layer ", name,
                      ": the model has no such linear layer or embedding.");
    TORCH_CHECK_VALUE(by_name.emplace(name, &plan).second, "[engine] layer ", name,
                      " is planned twice.");
  }
  return by_name;
}

Graph graph_with_input_quantizers(const Graph& graph, const std::vector<LayerPlan>& plans) {
  std::map<std::string, graph::LayerQuantizers> quantizers;
  for (const LayerPlan& plan : plans) {
    if (plan.input) quantizers[plan.layer.name].input = graph::Quantizer{*plan.input, std::nullopt};
  }
  return quantizers.empty() ? graph : graph::place_quantizers(graph, quantizers);
}

Value multiplied(const Graph& graph, const LinearLayer& layer) {
  if (layer.is_embedding) return layer.input;
  const auto* value = std::get_if<Value>(&graph.at(layer.node).arguments.at(0).data);
  LACONIC_ASSERT(value != nullptr, "layer ", layer.name, " multiplies no value.");
  return *value;
}

/// The parameter that is a layer's bias and nothing else; empty when there is none.
std::string own_bias(const Graph& graph, const LinearLayer& layer) {
  const auto& arguments = graph.at(layer.node).arguments;
  const auto* bias = arguments.size() > 2 ? std::get_if<Value>(&arguments[2].data) : nullptr;
  if (bias == nullptr || graph.at(bias->node).kind != graph::NodeKind::kParameter) return "";
  const std::string& name = graph.at(bias->node).target;
  int64_t readers = 0;
  for (const graph::Node& node : graph.nodes) {
    graph::for_each_value(node, [&](const Value& value) {
      const graph::Node& source = graph.at(value.node);
      readers += source.kind == graph::NodeKind::kParameter && source.target == name ? 1 : 0;
    });
  }
  return readers == 1 ? name : "";
}

std::vector<Segment> cut(const Graph& graph, const std::vector<graph::Block>& blocks) {
  std::vector<Segment> segments;
  const int rest = static_cast<int>(blocks.size());
  const auto add = [&](const std::string& name, NodeId begin, NodeId end, int shard,
                       bool is_block) {
    if (begin < end) segments.push_back({name, begin, end, shard, is_block, {}});
  };
  add("before the blocks", 0, blocks.empty() ? graph.size() : blocks.front().begin, rest, false);
  for (size_t i = 0; i < blocks.size(); ++i) {
    const NodeId next = i + 1 < blocks.size() ? blocks[i + 1].begin : blocks[i].end;
    add(blocks[i].name, blocks[i].begin, next, static_cast<int>(i), true);
  }
  if (!blocks.empty()) add("after the blocks", blocks.back().end, graph.size(), rest, false);
  return segments;
}

void place_task(Segment& segment, const LayerTask& task, const Graph& graph) {
  for (LayerGroup& group : segment.groups) {
    const LayerTask& first = group.tasks.front();
    if (first.layer.input != task.layer.input || first.plan->input != task.plan->input) continue;
    group.tasks.push_back(task);
    group.needs_hessian = group.needs_hessian || task.plan->needs_hessian;
    group.needs_mismatch = group.needs_mismatch || task.plan->needs_mismatch;
    return;
  }
  segment.groups.push_back({{task},
                            multiplied(graph, task.layer),
                            task.layer.node,
                            task.plan->needs_hessian,
                            task.plan->needs_mismatch});
}

}  // namespace

const QuantSpec* LayerGroup::static_input() const {
  const LayerPlan& plan = *tasks.front().plan;
  return plan.has_static_input() ? &*plan.input : nullptr;
}

bool LayerGroup::has_joint() const {
  return std::any_of(tasks.begin(), tasks.end(),
                     [](const LayerTask& task) { return task.plan->is_joint; });
}

bool LayerGroup::has_single() const {
  return std::any_of(tasks.begin(), tasks.end(),
                     [](const LayerTask& task) { return !task.plan->is_joint; });
}

bool Segment::has_joint() const {
  return std::any_of(groups.begin(), groups.end(),
                     [](const LayerGroup& group) { return group.has_joint(); });
}

int64_t LayerGroup::visits() const {
  return (needs_hessian ? 1 : 0) + (needs_mismatch ? 1 : 0) + (static_input() != nullptr ? 1 : 0);
}

bool Segment::has(const std::string& layer) const {
  for (const LayerGroup& group : groups)
    for (const LayerTask& task : group.tasks)
      if (task.layer.name == layer) return true;
  return false;
}

int64_t Segment::visits() const {
  int64_t count = 0;
  for (const LayerGroup& group : groups) count += group.visits();
  return count;
}

void check_own_weights(const LanguageModel& model, const std::vector<LayerPlan>& plans) {
  std::map<std::string, std::string> by_weight;
  for (const LayerPlan& plan : plans) {
    const auto [other, is_new] = by_weight.emplace(plan.layer.weight_name, plan.layer.name);
    TORCH_CHECK_VALUE(is_new, "[engine] layers ", other->second, " and ", plan.layer.name,
                      " share the weight ", plan.layer.weight_name,
                      " and need one quantizer: put both into one rule (layers: [embedding, head]) "
                      "that gives a weight alone, or untie them (transform "
                      "fold_norms).");
  }
  for (const LayerPlan& plan : plans) check_not_shared(model.graph, plan);
}

EngineGraph plan_segments(const LanguageModel& model, const std::vector<LayerPlan>& plans,
                          bool quantized_inputs) {
  const auto by_name = index_plans(model, plans);
  EngineGraph result;
  result.graph = quantized_inputs ? graph_with_input_quantizers(model.graph, plans) : model.graph;
  result.segments = cut(result.graph, graph::find_blocks(result.graph));
  for (const LinearLayer& layer : layers_of(result.graph)) {
    const auto plan = by_name.find(layer.name);
    if (plan == by_name.end()) continue;
    const auto segment = std::find_if(
        result.segments.begin(), result.segments.end(),
        [&](const Segment& one) { return layer.node >= one.begin && layer.node < one.end; });
    LACONIC_ASSERT(segment != result.segments.end(), "layer ", layer.name, " is in no segment.");
    const bool is_corrected = plan->second->bias != BiasCorrection::kNone;
    place_task(*segment,
               {plan->second, layer, is_corrected ? own_bias(result.graph, layer) : std::string()},
               result.graph);
  }
  return result;
}

}  // namespace laconic
