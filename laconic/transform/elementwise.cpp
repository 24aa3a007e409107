#include "laconic/transform/elementwise.h"

#include <map>

#include "laconic/graph/rewrite.h"

namespace laconic::transform {
namespace {

using graph::LinearLayer;
using graph::Node;
using graph::NodeId;
using graph::NodeKind;
using graph::Value;

constexpr std::array<std::string_view, 10> kFunctions = {
    "aten::relu",       "aten::gelu",       "aten::silu",
    "aten::sigmoid",    "aten::tanh",       "aten::pow.Tensor_Scalar",
    "aten::leaky_relu", "aten::mul.Scalar", "aten::add.Scalar",
    "aten::dropout"};
constexpr std::array<std::string_view, 2> kPairs = {"aten::mul.Tensor", "aten::add.Tensor"};

bool is_step(const Node& node) {
  return is_among(kPairs, node.target) || is_among(kFunctions, node.target);
}

class RegionFinder {
 public:
  explicit RegionFinder(const FloatNetwork& network)
      : network_(network), graph_(network.graph), users_(graph::users(graph_)), readers_(graph_) {
    for (LinearLayer& layer : graph::find_linear_layers(graph_)) layers_[layer.node] = layer;
  }

  std::vector<ElementwiseRegion> find() const {
    std::vector<ElementwiseRegion> regions;
    for (const auto& [id, layer] : layers_) {
      ElementwiseRegion region{{}, layer, size_of(layer, layer.transposed ? 0 : 1)};
      if (!readers_.has_own_weight(layer) || !follow(layer.input, region)) continue;
      regions.push_back(std::move(region));
    }
    return regions;
  }

 private:
  int64_t size_of(const LinearLayer& layer, int64_t dim) const {
    const auto shape = network_.parameters->describe(layer.weight_name).shape;
    return shape.size() == 2 ? shape[static_cast<size_t>(dim)] : 0;
  }

  /// Backwards from a value; false when it is anything else.
  bool follow(const Value& value, ElementwiseRegion& region) const {
    const Node& node = graph_.at(value.node);
    if (node.kind != NodeKind::kCall) return false;
    if (const auto layer = layers_.find(value.node); layer != layers_.end())
      return add_writer(layer->second, region);
    const bool is_pair = is_among(kPairs, node.target);
    if (!is_step(node) || !is_read_inside(value, region)) return false;
    for (size_t i = 0; i < node.arguments.size(); ++i) {
      const auto* argument = std::get_if<Value>(&node.arguments[i].data);
      if (argument != nullptr && (i > (is_pair ? 1u : 0u) || !follow(*argument, region)))
        return false;
    }
    return true;
  }

  /// All that uses the value lies before the reader, where each path from it was or will be seen.
  bool is_read_inside(const Value& value, const ElementwiseRegion& region) const {
    for (const NodeId user : users_.at(static_cast<size_t>(value.node))) {
      const bool goes_on = is_step(graph_.at(user));
      if (user != region.reader.node && (user > region.reader.node || !goes_on)) return false;
      if (goes_on && !leads_to(user, region.reader.node)) return false;
    }
    return true;
  }
  bool leads_to(NodeId id, NodeId reader) const {
    for (const NodeId user : users_.at(static_cast<size_t>(id))) {
      if (user == reader) continue;
      if (!is_step(graph_.at(user)) || user > reader || !leads_to(user, reader)) return false;
    }
    return true;
  }

  bool add_writer(const LinearLayer& layer, ElementwiseRegion& region) const {
    if (!is_read_inside({layer.node, 0}, region)) return false;
    for (const LinearLayer& known : region.writers)
      if (known.node == layer.node) return true;
    const bool is_own = readers_.has_own_weight(layer) && readers_.bias_of(layer).is_plain;
    if (!is_own || size_of(layer, layer.transposed ? 1 : 0) != region.width) return false;
    region.writers.push_back(layer);
    return true;
  }

  const FloatNetwork& network_;
  const graph::Graph& graph_;
  std::vector<std::vector<NodeId>> users_;
  ParameterReaders readers_;
  std::map<NodeId, LinearLayer> layers_;
};

/// A parameter with `more` slices along `dim`.
void put_longer(const FloatNetwork& network, const std::string& name, int64_t dim, int64_t more,
                const Lengthen& longer, Changes& changes) {
  auto description = network.parameters->describe(name);
  description.shape.at(static_cast<size_t>(dim)) += more;
  changes[name] = {{name},
                   [=](const graph::Parameters& below) { return longer(below.get(name), dim); },
                   description};
}

}  // namespace

void lengthen(const FloatNetwork& network, const ElementwiseRegion& region, int64_t more,
              const Lengthen& rows, const Lengthen& columns, Changes& changes) {
  const ParameterReaders readers(network.graph);
  for (const LinearLayer& writer : region.writers) {
    put_longer(network, writer.weight_name, writer.transposed ? 1 : 0, more, rows, changes);
    const Bias bias = readers.bias_of(writer);
    if (!bias.name.empty()) put_longer(network, bias.name, 0, more, rows, changes);
  }
  put_longer(network, region.reader.weight_name, region.reader.transposed ? 0 : 1, more, columns,
             changes);
}

std::vector<ElementwiseRegion> find_elementwise_regions(const FloatNetwork& network) {
  return RegionFinder(network).find();
}

}  // namespace laconic::transform
