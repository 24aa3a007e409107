#include "laconic/transform/streams.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <optional>
#include <string_view>

#include "laconic/transform/network.h"

namespace laconic::transform {
namespace {

using graph::Graph;
using graph::LinearLayer;
using graph::Node;
using graph::NodeId;
using graph::NodeKind;
using graph::Value;

// Each value a linear function of each value among the arguments, feature by feature alike.
constexpr std::array<std::string_view, 10> kSums = {
    "aten::add.Tensor", "aten::sub.Tensor", "aten::neg",     "aten::clone",    "aten::contiguous",
    "aten::detach",     "aten::alias",      "aten::dropout", "aten::to.dtype", "aten::rsub.Tensor"};
// The same when the second argument is one number.
constexpr std::array<std::string_view, 4> kScalings = {"aten::mul.Tensor", "aten::mul.Scalar",
                                                       "aten::div.Tensor", "aten::div.Scalar"};

// Functions of each number alone.
constexpr std::array<std::string_view, 3> kGates = {"aten::sigmoid", "aten::tanh",
                                                    "aten::softplus"};

/// A sum over the last dimension, which stays with one element.
bool is_sum_of_features(const Node& node) {
  if (node.target != "aten::sum.dim_IntList" || node.arguments.size() < 3) return false;
  const auto* dims = std::get_if<c10::IValue>(&node.arguments[1].data);
  const auto* keeps = std::get_if<c10::IValue>(&node.arguments[2].data);
  return dims != nullptr && dims->isIntList() && dims->toIntVector() == std::vector<int64_t>{-1} &&
         keeps != nullptr && keeps->isBool() && keeps->toBool();
}

bool is_one_number(const graph::Argument& argument) {
  const auto* constant = std::get_if<c10::IValue>(&argument.data);
  if (constant == nullptr) return false;
  return constant->isScalar() || (constant->isTensor() && constant->toTensor().numel() == 1);
}

class StreamFinder {
 public:
  explicit StreamFinder(const FloatNetwork& network)
      : network_(network),
        graph_(network.graph),
        parent_(graph_.nodes.size()),
        users_(graph::users(network.graph)),
        readers_(graph_) {
    std::iota(parent_.begin(), parent_.end(), 0);
    for (LinearLayer& layer : graph::find_linear_layers(graph_)) layers_[layer.node] = layer;
  }

  std::vector<Stream> find() {
    for (NodeId id = 0; id < graph_.size(); ++id) join(id);
    for (NodeId id = 0; id < graph_.size(); ++id) note(id);
    std::vector<Stream> result;
    for (auto& [root, stream] : streams_)
      if (!stream.sources.empty()) result.push_back(std::move(stream));
    return result;
  }

 private:
  NodeId root(NodeId id) {
    while (parent_[id] != id) id = parent_[id] = parent_[parent_[id]];
    return id;
  }
  Stream& stream_of(NodeId id) { return streams_[root(id)]; }
  void unite(NodeId a, NodeId b) {
    parent_[std::max(root(a), root(b))] = std::min(root(a), root(b));
  }

  const Node& node(NodeId id) const { return graph_.at(id); }
  bool is_parameter(const Value& value) const {
    return node(value.node).kind == NodeKind::kParameter;
  }
  const Value* value_at(NodeId id, size_t argument) const {
    const auto& arguments = node(id).arguments;
    return argument < arguments.size() ? std::get_if<Value>(&arguments[argument].data) : nullptr;
  }

  bool is_sum(NodeId id) const;
  bool is_number_of_token(const Value& value) const;
  std::optional<Value> gated(NodeId id) const;
  std::vector<Value> joined(NodeId id) const;
  bool note_features_read(NodeId id);
  bool is_rms_norm(NodeId id) const { return node(id).target == "aten::rms_norm"; }
  std::optional<std::string> gain_obstacle(NodeId id) const;
  void join(NodeId id);
  void note(NodeId id);
  void note_linear(NodeId id);
  void note_embedding(NodeId id);
  void note_added(NodeId id);
  void note_norm(NodeId id);
  void note_other(NodeId id);
  void add_source(NodeId id, const Part& part, int64_t width);
  void obstruct(NodeId id, NodeId at, const std::string& reason) {
    stream_of(id).obstacles.push_back({at, reason});
  }
  bool is_read_once(const std::string& parameter) const {
    return readers_.of(parameter).size() == 1;
  }

  const FloatNetwork& network_;
  const Graph& graph_;
  std::vector<NodeId> parent_;
  std::vector<std::vector<NodeId>> users_;
  std::map<NodeId, LinearLayer> layers_;
  ParameterReaders readers_;
  std::map<NodeId, Stream> streams_;
};

bool StreamFinder::is_sum(NodeId id) const {
  const Node& call = node(id);
  if (call.kind != NodeKind::kCall) return false;
  if (is_among(kScalings, call.target))
    return value_at(id, 0) != nullptr && is_one_number(call.arguments.at(1));
  if (!is_among(kSums, call.target)) return false;
  // x + 1 is no linear function of x.
  const bool has_two = call.target.find(".Tensor") != std::string::npos;
  return value_at(id, 0) != nullptr && (!has_two || value_at(id, 1) != nullptr);
}

/// Why an RMS norm does not commute with every orthogonal map; nothing when it does.
std::optional<std::string> StreamFinder::gain_obstacle(NodeId id) const {
  const auto& arguments = node(id).arguments;
  const auto* shape = std::get_if<c10::IValue>(&arguments.at(1).data);
  if (shape == nullptr || !shape->isIntList() || shape->toIntVector().size() != 1)
    return "normalizes more than the features";
  if (value_at(id, 2) == nullptr) return std::nullopt;
  const std::string name = parameter_of(graph_, arguments.at(2));
  if (name.empty()) return "has a computed gain";
  const auto gain = network_.parameters->get(name);
  const bool is_uniform = (gain == gain.flatten()[0]).all().item<bool>();
  network_.parameters->release(name);
  if (is_uniform) return std::nullopt;
  return "has a gain for each feature: put fold_norms before";
}

bool StreamFinder::is_number_of_token(const Value& value) const {
  const Node& from = node(value.node);
  if (from.kind != NodeKind::kCall) return false;
  if (is_among(kGates, from.target)) return is_number_of_token(*value_at(value.node, 0));
  return is_sum_of_features(from);
}

/// What a product multiplies by one number for each token.
std::optional<Value> StreamFinder::gated(NodeId id) const {
  const Value *a = value_at(id, 0), *b = value_at(id, 1);
  if (node(id).target != "aten::mul.Tensor" || a == nullptr || b == nullptr) return std::nullopt;
  if (is_parameter(*a) || is_parameter(*b)) return std::nullopt;
  if (is_number_of_token(*a)) return *b;
  return is_number_of_token(*b) ? std::optional(*a) : std::nullopt;
}

/// Values whose features are those of the result.
std::vector<Value> StreamFinder::joined(NodeId id) const {
  const Node& call = node(id);
  if (call.kind != NodeKind::kCall) return {};
  if (call.target == "laconic::expert_rows") return {*value_at(id, 0)};
  if (call.target == "laconic::add_expert") return {*value_at(id, 0), *value_at(id, 1)};
  if (const auto value = gated(id)) return {*value};
  std::vector<Value> values;
  if (is_sum(id))
    graph::for_each_value(call, [&](const Value& value) {
      if (!is_parameter(value)) values.push_back(value);
    });
  else if (is_rms_norm(id) && !gain_obstacle(id))
    values.push_back(*value_at(id, 0));
  return values;
}

void StreamFinder::join(NodeId id) {
  for (const Value& value : joined(id)) unite(value.node, id);
}

void StreamFinder::add_source(NodeId id, const Part& part, int64_t width) {
  Stream& stream = stream_of(id);
  if (stream.width != 0 && stream.width != width)
    obstruct(id, id,
             "writes " + std::to_string(width) + " features where another writes " +
                 std::to_string(stream.width));
  stream.width = width;
  if (!is_read_once(part.parameter)) obstruct(id, id, "shares " + part.parameter);
  stream.sources.push_back(part);
}

void StreamFinder::note_linear(NodeId id) {
  const auto found = layers_.find(id);
  if (found == layers_.end()) return note_other(id);
  const Value& input = *value_at(id, 0);
  const LinearLayer& layer = found->second;
  const int64_t rows = layer.transposed ? 1 : 0;
  const Bias bias = readers_.bias_of(layer);
  const auto shape = network_.parameters->describe(layer.weight_name).shape;
  if (shape.size() != 2) return note_other(id);
  add_source(id, {layer.weight_name, rows, layer.name}, shape[static_cast<size_t>(rows)]);
  if (!readers_.has_own_weight(layer)) obstruct(id, id, "shares its weight");
  if (!bias.is_plain) obstruct(id, id, "has a bias that is shared or computed");
  if (!bias.name.empty()) stream_of(id).sources.push_back({bias.name, 0, layer.name});
  if (node(input.node).kind == NodeKind::kQuantize) obstruct(input.node, id, "reads quantized");
  stream_of(input.node).sinks.push_back({layer.weight_name, 1 - rows, layer.name});
  if (!readers_.has_own_weight(layer)) obstruct(input.node, id, "shares its weight");
}

void StreamFinder::note_embedding(NodeId id) {
  const std::string name = parameter_of(graph_, node(id).arguments.at(0));
  if (name.empty()) return note_other(id);
  const auto shape = network_.parameters->describe(name).shape;
  if (shape.size() != 2) return note_other(id);
  add_source(id, {name, 1, node(id).module}, shape[1]);
}

/// Parameters that are added to the stream as they are.
void StreamFinder::note_added(NodeId id) {
  graph::for_each_value(node(id), [&](const Value& value) {
    if (!is_parameter(value)) return;
    const std::string& name = node(value.node).target;
    const auto shape = network_.parameters->describe(name).shape;
    if (shape.empty()) return obstruct(id, id, "adds one number to every feature");
    add_source(id, {name, static_cast<int64_t>(shape.size()) - 1, node(id).module}, shape.back());
  });
}

void StreamFinder::note_norm(NodeId id) {
  const NodeId input = value_at(id, 0)->node;
  if (node(id).target == "aten::layer_norm") {
    stream_of(input).layer_norms.push_back(id);
    return obstruct(id, id, "is the result of a layer norm");
  }
  const auto reason = gain_obstacle(id);
  if (!reason) return stream_of(id).rms_norms.push_back(id);
  obstruct(input, id, *reason);
  obstruct(id, id, *reason);
}

/// A router, and a product with a parameter whose features are summed: weights that read, too. What
/// comes out has other features, or none. @returns whether it is one.
bool StreamFinder::note_features_read(NodeId id) {
  const Node& call = node(id);
  const bool is_router = call.target == "laconic::route";
  if (!is_router && call.target != "aten::mul.Tensor") return false;
  for (const NodeId user : users_[static_cast<size_t>(id)])
    if (!is_router && !is_sum_of_features(node(user))) return false;
  for (const size_t argument : {0, 1}) {
    const auto part = weight_of_features(network_, id, argument);
    const Value* input = value_at(id, argument);
    if (!part || input == nullptr || is_parameter(*input)) continue;
    const auto shape = network_.parameters->describe(part->parameter).shape;
    if (!is_router && shape.size() == 2 && shape[0] != 1) return false;
    stream_of(input->node).sinks.push_back(*part);
    if (!is_read_once(part->parameter)) obstruct(input->node, id, "shares " + part->parameter);
    return true;
  }
  return false;
}

void StreamFinder::note_other(NodeId id) {
  graph::for_each_value(node(id), [&](const Value& value) {
    if (!is_parameter(value)) obstruct(value.node, id, "is no operation that lets a map through");
  });
  obstruct(id, id, "is no operation that lets a map through");
}

void StreamFinder::note(NodeId id) {
  const Node& here = node(id);
  if (here.kind == NodeKind::kParameter || here.kind == NodeKind::kInput) return;
  if (here.kind != NodeKind::kCall) return note_other(id);
  if (here.target == "aten::linear") return note_linear(id);
  if (here.target == "aten::embedding") return note_embedding(id);
  const bool is_norm = is_rms_norm(id) || here.target == "aten::layer_norm";
  if (is_norm && value_at(id, 0) != nullptr) return note_norm(id);
  if (here.target == "aten::zeros_like") return;  // zero whatever the map is
  if (is_sum(id)) return note_added(id);
  if (joined(id).empty() && !note_features_read(id)) note_other(id);
}

}  // namespace

std::optional<Part> weight_of_features(const FloatNetwork& network, NodeId user, size_t argument) {
  const Node& reader = network.graph.at(user);
  const bool is_router = reader.target == "laconic::route" && argument == 0;
  if (!is_router && reader.target != "aten::mul.Tensor") return std::nullopt;
  const std::string name = parameter_of(network.graph, reader.arguments.at(1 - argument));
  if (name.empty()) return std::nullopt;
  const auto shape = network.parameters->describe(name).shape;
  if (shape.empty()) return std::nullopt;
  return Part{name, static_cast<int64_t>(shape.size()) - 1, reader.module};
}

std::vector<Stream> find_streams(const FloatNetwork& network) {
  return StreamFinder(network).find();
}

}  // namespace laconic::transform
