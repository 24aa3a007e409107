#include "laconic/transform/fold_norms/fold_norms.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <optional>

#include "laconic/file/json/options.h"
#include "laconic/transform/streams.h"

namespace laconic::transform {
namespace {

using graph::Graph;
using graph::LinearLayer;
using graph::NodeId;
using graph::NodeKind;
using graph::Value;

/// A norm and the weights that read it, and nothing else.
struct Fold {
  NodeId node = -1;
  std::string gain, bias;  ///< parameters; empty when absent
  std::vector<LinearLayer> layers;
  std::vector<std::string> others;  ///< routers and the like, [..., features]
};

bool is_layer_norm(const graph::Node& node) { return node.target == "aten::layer_norm"; }

class Folder {
 public:
  Folder(FloatNetwork& network, TransformReport& report)
      : network_(network), report_(report), readers_(network.graph) {
    for (const LinearLayer& layer : graph::find_linear_layers(network.graph))
      layers_[layer.node] = layer;
    users_ = graph::users(network.graph);
  }

  void run() {
    for (NodeId id = 0; id < network_.graph.size(); ++id) {
      const graph::Node& node = network_.graph.at(id);
      const bool is_norm = node.target == "aten::rms_norm" || is_layer_norm(node);
      if (node.kind != NodeKind::kCall || !is_norm) continue;
      if (const auto fold = plan(id)) fold_in(*fold);
    }
    network_.graph = graph::insert_before(network_.graph, insertions_);
    network_.graph = graph::remove_unused(network_.graph);
    change_parameters(network_, std::move(changes_));
    if (folded_ > 0)
      report_.done.push_back("gains of " + std::to_string(folded_) +
                             " norms moved into the layers that read them.");
    if (biases_ > 0)
      report_.done.push_back(std::to_string(biases_) + " layers got a bias that they had not.");
  }

 private:
  std::optional<Fold> plan(NodeId id);
  std::string add_readers(NodeId id, Fold& fold) const;
  bool add_other(NodeId user, NodeId id, Fold& fold) const;
  void fold_in(const Fold& fold);
  void fold_gain(const Fold& fold, const LinearLayer& layer);
  void fold_bias(const Fold& fold, const LinearLayer& layer);
  std::optional<Fold> leave(NodeId id, const std::string& reason) {
    report_.fallbacks.push_back(graph::describe(network_.graph, id) + " keeps its gain: " + reason);
    return std::nullopt;
  }
  bool is_read_once(const std::string& name) const {
    return name.empty() || readers_.of(name).size() == 1;
  }

  FloatNetwork& network_;
  TransformReport& report_;
  ParameterReaders readers_;
  std::map<NodeId, LinearLayer> layers_;
  std::vector<std::vector<NodeId>> users_;
  Changes changes_;
  std::map<NodeId, graph::Insertion> insertions_;
  int folded_ = 0, biases_ = 0;
};

std::optional<Fold> Folder::plan(NodeId id) {
  const Graph& graph = network_.graph;
  const graph::Node& node = graph.at(id);
  Fold fold{id, parameter_of(graph, node.arguments.at(2)), "", {}, {}};
  if (is_layer_norm(node)) fold.bias = parameter_of(graph, node.arguments.at(3));
  if (fold.gain.empty() && fold.bias.empty()) return std::nullopt;
  if (!is_read_once(fold.gain) || !is_read_once(fold.bias))
    return leave(id, "another norm shares it.");
  if (const std::string reason = add_readers(id, fold); !reason.empty()) return leave(id, reason);
  if (fold.layers.empty()) return leave(id, "nothing reads it.");
  return fold;
}

/// The readers of a norm's result, or of rows of it. @returns what stands in the way, if anything.
std::string Folder::add_readers(NodeId id, Fold& fold) const {
  const Graph& graph = network_.graph;
  for (const NodeId user : users_[static_cast<size_t>(id)]) {
    const graph::Node& reader = graph.at(user);
    if (reader.target == "aten::zeros_like") continue;  // reads the shape alone
    const auto* input = std::get_if<Value>(&reader.arguments[0].data);
    const bool is_first = input != nullptr && input->node == id;
    if (is_first && reader.target == "laconic::expert_rows") {
      if (std::string reason = add_readers(user, fold); !reason.empty()) return reason;
      continue;
    }
    const auto layer = layers_.find(user);
    if (!is_first || layer == layers_.end()) {
      if (!add_other(user, id, fold))
        return graph::describe(graph, user) + " reads it and is no linear layer.";
      continue;
    }
    if (!readers_.has_own_weight(layer->second)) return layer->second.name + " shares its weight.";
    if (!fold.bias.empty() && !readers_.bias_of(layer->second).is_plain)
      return layer->second.name + " has a bias that is shared or computed.";
    fold.layers.push_back(layer->second);
  }
  return "";
}

/// A router, or a factor for each feature.
bool Folder::add_other(NodeId user, NodeId id, Fold& fold) const {
  const auto* first = std::get_if<Value>(&network_.graph.at(user).arguments[0].data);
  const bool is_first = first != nullptr && first->node == id;
  const auto part = weight_of_features(network_, user, is_first ? 0 : 1);
  if (!part || !fold.bias.empty() || !is_read_once(part->parameter)) return false;
  const auto gain = network_.parameters->describe(fold.gain).shape;
  if (network_.parameters->describe(part->parameter).shape.back() != gain.at(0)) return false;
  fold.others.push_back(part->parameter);
  return true;
}

void Folder::fold_gain(const Fold& fold, const LinearLayer& layer) {
  const std::string weight = layer.weight_name, gain = fold.gain;
  const bool transposed = layer.transposed;
  changes_[weight] = {{weight, gain},
                      [=](const graph::Parameters& below) {
                        const auto g = below.get(gain);
                        return below.get(weight) * (transposed ? g.unsqueeze(1) : g);
                      },
                      network_.parameters->describe(weight)};
}

/// The layer's bias and W b, with the weight before the gain is in it.
void Folder::fold_bias(const Fold& fold, const LinearLayer& layer) {
  const std::string weight = layer.weight_name, shift = fold.bias;
  const std::string old = readers_.bias_of(layer).name;
  const std::string name = old.empty() ? layer.name + ".bias" : old;
  const bool transposed = layer.transposed;
  const auto described = network_.parameters->describe(weight);
  const int64_t outputs = described.shape.at(transposed ? 1 : 0);
  std::vector<std::string> reads = {weight, shift};
  if (!old.empty()) reads.push_back(old);
  changes_[name] = {
      reads,
      [=](const graph::Parameters& below) {
        const auto stored = below.get(weight);
        const auto added =
            at::matmul(transposed ? stored.t() : stored, below.get(shift).unsqueeze(1)).squeeze(1);
        return old.empty() ? added : below.get(old) + added;
      },
      {{outputs}, described.dtype}};
  if (!old.empty()) return;
  ++biases_;
  insert_bias(network_, layer, insertions_);
}

void Folder::fold_in(const Fold& fold) {
  for (const LinearLayer& layer : fold.layers) {
    if (!fold.bias.empty()) fold_bias(fold, layer);
    if (!fold.gain.empty()) fold_gain(fold, layer);
  }
  for (const std::string& name : fold.others)
    changes_[name] = {{name, fold.gain},
                      [name, gain = fold.gain](const graph::Parameters& below) {
                        return below.get(name) * below.get(gain);
                      },
                      network_.parameters->describe(name)};
  ++folded_;
  graph::Node& node = network_.graph.nodes.at(fold.node);
  if (is_layer_norm(node)) {
    node.arguments[2] = node.arguments[3] = c10::IValue();
    return;
  }
  const std::string gain = fold.gain;
  changes_[gain] = {
      {gain},
      [gain](const graph::Parameters& below) { return at::ones_like(below.get(gain)); },
      network_.parameters->describe(gain)};
}

/// t - its mean over the features.
at::Tensor centred(const at::Tensor& t, int64_t dim) {
  const auto wide = t.to(at::kDouble);
  return (wide - wide.mean(dim, /*keepdim=*/true)).to(t.scalar_type());
}

void centre(FloatNetwork& network, const Stream& stream, Changes& changes) {
  for (const Part& source : stream.sources) {
    const std::string name = source.parameter;
    const int64_t dim = source.dim;
    changes[name] = {{name},
                     [=](const graph::Parameters& below) { return centred(below.get(name), dim); },
                     network.parameters->describe(name)};
  }
  for (const NodeId id : stream.layer_norms) {
    graph::Node& node = network.graph.nodes.at(id);
    node.target = "aten::rms_norm";
    node.arguments = {node.arguments[0], node.arguments[1], c10::IValue(), node.arguments[4]};
  }
}

/// Why the layer norms of a stream stay.
std::string why_not_centred(const FloatNetwork& network, const Stream& stream) {
  const auto text = [&](NodeId id) { return graph::describe(network.graph, id); };
  if (!stream.obstacles.empty())
    return text(stream.obstacles.front().node) + " " + stream.obstacles.front().reason;
  if (!stream.sinks.empty()) return stream.sinks.front().layer + " reads it without a norm";
  return stream.rms_norms.empty() ? "" : text(stream.rms_norms.front()) + " reads it too";
}

void replace_layer_norms(FloatNetwork& network, TransformReport& report) {
  Changes changes;
  size_t replaced = 0;
  for (const Stream& stream : find_streams(network)) {
    std::vector<NodeId> affine;
    for (const NodeId id : stream.layer_norms)
      if (!parameter_of(network.graph, network.graph.at(id).arguments[2]).empty() ||
          !parameter_of(network.graph, network.graph.at(id).arguments[3]).empty())
        affine.push_back(id);
    if (stream.layer_norms.empty()) continue;
    std::string reason = why_not_centred(network, stream);
    if (reason.empty() && !affine.empty())
      reason = graph::describe(network.graph, affine.front()) + " kept its gain";
    if (reason.empty()) {
      centre(network, stream, changes);
      replaced += stream.layer_norms.size();
    } else {
      report.fallbacks.push_back(std::to_string(stream.layer_norms.size()) +
                                 " layer norms stay layer norms: " + reason + ".");
    }
  }
  change_parameters(network, std::move(changes));
  if (replaced > 0)
    report.done.push_back(std::to_string(replaced) +
                          " layer norms became RMS norms: what writes their input is centred.");
}

}  // namespace

TransformReport fold_norms(FloatNetwork& network, const nlohmann::json& options) {
  check_fold_norms(options);
  TransformReport report{"fold_norms", {}, {}};
  const bool has_layer_norms = std::any_of(network.graph.nodes.begin(), network.graph.nodes.end(),
                                           [](const auto& node) { return is_layer_norm(node); });
  for (const std::string& layer : untie(network))
    report.done.push_back(layer + " got a weight of its own.");
  Folder(network, report).run();
  if (!has_layer_norms) return report;
  replace_layer_norms(network, report);
  if (!report.done.empty()) network.graph_changes.emplace_back("fold_norms (layer norms)");
  return report;
}

void check_fold_norms(const nlohmann::json& options) {
  check_option_names("transform fold_norms", options, {});
}

nlohmann::json fold_norms_defaults() { return nlohmann::json::object(); }

}  // namespace laconic::transform
