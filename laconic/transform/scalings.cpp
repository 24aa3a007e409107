#include "laconic/transform/scalings.h"

#include <ATen/ops/_unique.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "laconic/graph/rewrite.h"
#include "laconic/transform/rotate/heads.h"
#include "laconic/transform/rotate/layout.h"

namespace laconic::transform {
namespace {

using graph::LinearLayer;
using graph::Node;
using graph::NodeId;
using graph::NodeKind;
using graph::Value;

// f(a x) = a f(x) for a > 0.
constexpr std::array<std::string_view, 3> kHomogeneous = {"aten::relu", "aten::leaky_relu",
                                                          "aten::dropout"};

/// Layers that read features of one source, all in one value or (`Uses::whole`) of one.
struct Reading {
  std::optional<WatchedInput> input;
  std::vector<LinearLayer> layers;
  std::vector<Part> others;
  at::Tensor labels;  ///< of the input: features of the source
};

/// All that is made of the features of one source.
struct Uses {
  std::optional<WatchedInput> whole;  ///< a norm's result, which is read as a whole
  std::map<Value, Reading> readings;
  std::vector<at::Tensor> obstructed;  ///< features with a use of another kind
};

class ScalingFinder {
 public:
  explicit ScalingFinder(const FloatNetwork& network)
      : network_(network),
        graph_(network.graph),
        users_(graph::users(graph_)),
        walk_(graph_),
        readers_(graph_),
        query_shapes_(find_query_shapes(network)) {
    const auto* result = std::get_if<Value>(&graph_.at(graph_.output()).arguments.at(0).data);
    for (LinearLayer& layer : graph::find_linear_layers(graph_))
      if (result == nullptr || result->node != layer.node) layers_[layer.node] = std::move(layer);
  }

  std::vector<Scaling> find();

 private:
  int64_t size_of(const Part& part) const {
    return network_.parameters->describe(part.parameter).shape.at(static_cast<size_t>(part.dim));
  }
  void follow(Uses& uses, const Value& from, const at::Tensor& labels) const;
  void use(Uses& uses, NodeId user, size_t argument, const at::Tensor& labels) const;
  bool add_layer(Uses& uses, NodeId user, size_t argument, const at::Tensor& labels) const;
  bool add_other(Uses& uses, NodeId user, size_t argument, const at::Tensor& labels) const;
  at::Tensor mixed(NodeId attention, const at::Tensor& labels) const;
  std::optional<ScaledPart> parameter_part(const graph::Argument& argument) const;
  std::vector<ScaledPart> norm_parts(const Node& norm) const;
  void add_norm(NodeId id);
  void add_linear(const LinearLayer& layer);
  void add(const Uses& uses, const std::vector<ScaledPart>& sources);
  void add_rest();

  const FloatNetwork& network_;
  const graph::Graph& graph_;
  std::vector<std::vector<NodeId>> users_;
  LayoutWalk walk_;
  ParameterReaders readers_;
  std::map<NodeId, std::vector<int64_t>> query_shapes_;
  std::map<NodeId, LinearLayer> layers_;  ///< but for the head
  std::vector<Scaling> found_;
  std::set<NodeId> scaled_;  ///< layers that read one of `found_`
};

/// A head of values as often as queries of its group use it.
at::Tensor ScalingFinder::mixed(NodeId attention, const at::Tensor& labels) const {
  const auto queries = query_shapes_.find(attention);
  if (queries == query_shapes_.end() || labels.dim() != 4 || queries->second.size() != 4)
    return labels;
  const int64_t heads = queries->second[1], groups = labels.size(1);
  return groups > 0 && heads % groups == 0 ? labels.repeat_interleave(heads / groups, 1) : labels;
}

/// Past homogeneous operations to the layers that read; what else reads features obstructs them.
void ScalingFinder::follow(Uses& uses, const Value& from, const at::Tensor& labels) const {
  walk_.walk(from, labels, [&](NodeId user, size_t argument, const at::Tensor& seen) {
    use(uses, user, argument, seen);
  });
}

void ScalingFinder::use(Uses& uses, NodeId user, size_t argument, const at::Tensor& labels) const {
  const Node& node = graph_.at(user);
  const bool is_first = argument == 0, is_call = node.kind == NodeKind::kCall;
  if (is_call && is_first && node.target == "aten::zeros_like") return;  // reads the shape alone
  if (is_call && is_first && is_among(kHomogeneous, node.target))
    return follow(uses, {user, 0}, labels);
  if (is_call && is_first && node.target == "laconic::expert_rows")
    return follow(uses, {user, 0}, labels.flatten(0, -2));
  if (is_call && mixed_argument(node) == argument)
    return follow(uses, {user, 0}, mixed(user, labels));
  if (add_layer(uses, user, argument, labels) || add_other(uses, user, argument, labels)) return;
  const auto* other = is_call && node.target == "aten::mul.Tensor"
                          ? std::get_if<Value>(&node.arguments.at(1 - argument).data)
                          : nullptr;
  if (other != nullptr && graph_.at(other->node).kind != NodeKind::kParameter)
    return follow(uses, {user, 0}, labels);
  uses.obstructed.push_back(labels);
}

bool ScalingFinder::add_layer(Uses& uses, NodeId user, size_t argument,
                              const at::Tensor& labels) const {
  const auto found = layers_.find(user);
  if (found == layers_.end() || argument != 0 || !readers_.has_own_weight(found->second))
    return false;
  const LinearLayer& layer = found->second;
  const Part columns = columns_of(layer);
  if (labels.size(-1) != labels.numel() || labels.numel() != size_of(columns)) return false;
  Reading& reading = uses.readings[uses.whole ? uses.whole->value : layer.input];
  const bool is_twice =
      std::any_of(reading.layers.begin(), reading.layers.end(),
                  [&](const LinearLayer& other) { return other.node == layer.node; });
  if (is_twice || (reading.labels.defined() && !reading.labels.equal(labels.flatten())))
    return false;
  if (!reading.labels.defined())
    reading.input = uses.whole ? *uses.whole : WatchedInput{user, layer.input, layer.name};
  reading.labels = labels.flatten();
  reading.layers.push_back(layer);
  return true;
}

/// A router, or a factor for each feature: parameters that read the whole of a norm's result.
bool ScalingFinder::add_other(Uses& uses, NodeId user, size_t argument,
                              const at::Tensor& labels) const {
  const auto part = uses.whole ? weight_of_features(network_, user, argument) : std::nullopt;
  if (!part || readers_.of(part->parameter).size() != 1 || size_of(*part) != labels.numel())
    return false;
  uses.readings[uses.whole->value].others.push_back(*part);
  return true;
}

std::optional<ScaledPart> ScalingFinder::parameter_part(const graph::Argument& argument) const {
  std::string name = parameter_of(graph_, argument);
  double offset = 0;
  const auto* value = std::get_if<Value>(&argument.data);
  if (name.empty() && value != nullptr) {
    const Node& sum = graph_.at(value->node);
    const auto* number =
        sum.arguments.size() < 2 ? nullptr : std::get_if<c10::IValue>(&sum.arguments.at(1).data);
    if (sum.target != "aten::add.Scalar" && sum.target != "aten::add.Tensor") return std::nullopt;
    if (number == nullptr || users_.at(static_cast<size_t>(value->node)).size() != 1)
      return std::nullopt;
    name = parameter_of(graph_, sum.arguments.at(0));
    offset = number->isTensor() ? number->toTensor().item<double>() : number->toScalar().toDouble();
  }
  if (name.empty() || readers_.of(name).size() != 1) return std::nullopt;
  return ScaledPart{{name, 0, name}, {}, offset};
}

/// Gain and bias; empty when the norm cannot take factors.
std::vector<ScaledPart> ScalingFinder::norm_parts(const Node& norm) const {
  const auto gain = parameter_part(norm.arguments.at(2));
  const auto shape =
      gain ? network_.parameters->describe(gain->part.parameter).shape : std::vector<int64_t>();
  if (shape.size() != 1) return {};
  std::vector<ScaledPart> parts = {*gain};
  const bool has_bias =
      norm.target == "aten::layer_norm" && std::holds_alternative<Value>(norm.arguments.at(3).data);
  if (!has_bias) return parts;
  const auto bias = parameter_part(norm.arguments.at(3));
  if (!bias) return {};
  parts.push_back(*bias);
  return parts;
}

void ScalingFinder::add_norm(NodeId id) {
  const auto parts = norm_parts(graph_.at(id));
  const auto& readers = users_.at(static_cast<size_t>(id));
  if (parts.empty() || readers.empty()) return;
  Uses uses;
  uses.whole = WatchedInput{readers.front(), {id, 0}, graph_.at(id).module};
  const int64_t width = size_of(parts.front().part);
  follow(uses, {id, 0}, at::arange(width).reshape({1, 1, width}));
  add(uses, parts);
}

void ScalingFinder::add_linear(const LinearLayer& layer) {
  const Bias bias = readers_.bias_of(layer);
  if (!readers_.has_own_weight(layer) || !bias.is_plain) return;
  std::vector<ScaledPart> parts = {{{layer.weight_name, layer.transposed ? 1 : 0, layer.name}}};
  if (!bias.name.empty()) parts.push_back({{bias.name, 0, layer.name}});
  const int64_t rows = size_of(parts.front().part);
  Uses uses;
  follow(uses, {layer.node, 0}, at::arange(rows).reshape({1, 1, rows}));
  add(uses, parts);
}

void ScalingFinder::add(const Uses& uses, const std::vector<ScaledPart>& sources) {
  const int64_t rows = size_of(sources.front().part);
  auto uses_of = at::zeros({rows}, at::kLong);  // each feature's; one that is obstructed has two
  for (const at::Tensor& labels : uses.obstructed) uses_of.index_fill_(0, labels.flatten(), 2);
  std::vector<std::pair<const Reading*, at::Tensor>> readings;
  for (const auto& [value, reading] : uses.readings) {
    if (!reading.labels.defined()) continue;
    const auto own = std::get<0>(at::_unique(reading.labels));
    uses_of.index_add_(0, own, at::ones_like(own));
    readings.emplace_back(&reading, own);
  }
  for (const auto& [reading, own] : readings) {
    if ((uses_of.index_select(0, own) > 1).any().item<bool>()) continue;
    Scaling scaling{*reading->input, own.numel(), {}, reading->layers, reading->others, sources};
    if (own.numel() != rows)
      for (ScaledPart& source : scaling.sources) source.index = own;
    const auto index = at::searchsorted(own, reading->labels);
    if (!index.equal(at::arange(index.numel()))) scaling.index = index;
    for (const LinearLayer& layer : scaling.layers) scaled_.insert(layer.node);
    found_.push_back(std::move(scaling));
  }
}

/// Layers whose input nothing can take factors of.
void ScalingFinder::add_rest() {
  std::map<Value, Scaling> by_input;
  for (const auto& [id, layer] : layers_) {
    if (scaled_.contains(id) || !readers_.has_own_weight(layer)) continue;
    Scaling& scaling = by_input[layer.input];
    if (scaling.layers.empty()) scaling.input = {id, layer.input, layer.name};
    scaling.width = size_of(columns_of(layer));
    scaling.layers.push_back(layer);
  }
  for (auto& [input, scaling] : by_input) found_.push_back(std::move(scaling));
}

std::vector<Scaling> ScalingFinder::find() {
  for (NodeId id = 0; id < graph_.size(); ++id) {
    const Node& node = graph_.at(id);
    if (node.target == "aten::rms_norm" || node.target == "aten::layer_norm") add_norm(id);
  }
  for (const auto& [id, layer] : layers_) add_linear(layer);
  add_rest();
  std::stable_sort(found_.begin(), found_.end(),
                   [](const Scaling& a, const Scaling& b) { return a.input.stop < b.input.stop; });
  return std::move(found_);
}

}  // namespace

std::vector<Scaling> find_scalings(const FloatNetwork& network) {
  return ScalingFinder(network).find();
}

}  // namespace laconic::transform
