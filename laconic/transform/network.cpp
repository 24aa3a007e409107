#include "laconic/transform/network.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "laconic/model/network.h"

namespace laconic::transform {
namespace {

using graph::Graph;
using graph::LinearLayer;
using graph::NodeId;
using graph::NodeKind;
using graph::Value;

class ChangedParameters : public graph::Parameters {
 public:
  ChangedParameters(std::shared_ptr<const graph::Parameters> below, Changes changes)
      : below_(std::move(below)), changes_(std::move(changes)) {}

  at::Tensor get(const std::string& name) const override {
    const auto found = changes_.find(name);
    return found == changes_.end() ? below_->get(name) : found->second.compute(*below_);
  }
  at::Tensor rows(const std::string& name, const at::Tensor& indices) const override {
    return changes_.contains(name) ? Parameters::rows(name, indices) : below_->rows(name, indices);
  }
  bool has(const std::string& name) const override {
    return changes_.contains(name) || below_->has(name);
  }
  graph::Description describe(const std::string& name) const override {
    const auto found = changes_.find(name);
    return found == changes_.end() ? below_->describe(name) : found->second.description;
  }
  void release(const std::string& name) const override {
    const auto found = changes_.find(name);
    if (found == changes_.end()) return below_->release(name);
    for (const std::string& read : found->second.reads) below_->release(read);
  }

 private:
  std::shared_ptr<const graph::Parameters> below_;
  Changes changes_;
};

/// None for a configuration that its architecture refuses.
std::vector<model::ParameterShape> parameters_of(const nlohmann::json& json) {
  try {
    const model::Config config(json, "config.json");
    return model::Network(config, model::find_architecture(config)).parameters();
  } catch (const c10::Error&) {
    return {};
  }
}

/// The node whose argument is the weight parameter: the transposition, or the layer itself.
NodeId weight_reader(const Graph& graph, const LinearLayer& layer) {
  if (!layer.transposed) return layer.node;
  Value value = layer.weight;
  while (graph.at(value.node).kind == NodeKind::kQuantize)
    value = std::get<Value>(graph.at(value.node).arguments.at(0).data);
  return value.node;
}

}  // namespace

Change constant_change(const at::Tensor& tensor, at::ScalarType dtype) {
  return {{}, [tensor](const graph::Parameters&) { return tensor; }, {tensor.sizes().vec(), dtype}};
}

void change_parameters(FloatNetwork& network, Changes changes) {
  if (changes.empty()) return;
  for (const auto& [name, change] : changes) network.changed.insert(name);
  network.parameters = std::make_shared<ChangedParameters>(network.parameters, std::move(changes));
}

std::string parameter_of(const Graph& graph, const graph::Argument& argument) {
  const auto* value = std::get_if<Value>(&argument.data);
  if (value == nullptr || graph.at(value->node).kind != NodeKind::kParameter) return "";
  return graph.at(value->node).target;
}

ParameterReaders::ParameterReaders(const Graph& graph)
    : graph_(graph), users_(graph::users(graph)) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    graph::for_each_value(graph.at(id), [&](const Value& value) {
      const graph::Node& source = graph.at(value.node);
      if (source.kind == NodeKind::kParameter) readers_[source.target].push_back(id);
    });
  }
}

const std::vector<NodeId>& ParameterReaders::of(const std::string& parameter) const {
  static const std::vector<NodeId> none;
  const auto found = readers_.find(parameter);
  return found == readers_.end() ? none : found->second;
}

Bias ParameterReaders::bias_of(const LinearLayer& layer) const {
  const graph::Node& node = graph_.at(layer.node);
  if (node.arguments.size() < 3) return {};
  const graph::Argument& argument = node.arguments.at(2);
  if (!std::holds_alternative<Value>(argument.data)) return {};
  const std::string name = parameter_of(graph_, argument);
  return {name, !name.empty() && of(name).size() == 1};
}

bool ParameterReaders::has_own_weight(const LinearLayer& layer) const {
  const auto& readers = of(layer.weight_name);
  if (readers.size() != 1) return false;
  return !layer.transposed || users_.at(static_cast<size_t>(readers.front())).size() == 1;
}

std::string insert_bias(FloatNetwork& network, const LinearLayer& layer,
                        std::map<NodeId, graph::Insertion>& insertions) {
  const std::string name = layer.name + ".bias";
  TORCH_CHECK_VALUE(!network.parameters->has(name), "[transform] layer ", layer.name,
                    ": needs a bias, but ", name, " is another tensor. Rename it.");
  auto& arguments = network.graph.nodes.at(static_cast<size_t>(layer.node)).arguments;
  if (arguments.size() < 3) arguments.resize(3);
  graph::Insertion& insertion = insertions[layer.node];
  insertion.nodes.push_back({NodeKind::kParameter, name, layer.name, {}});
  insertion.redirect[2] = Value{-1, 0};
  return name;
}

bool put_in_config(FloatNetwork& network, const nlohmann::json& fields) {
  if (!network.config.is_object() || !network.graph_changes.empty()) return false;
  nlohmann::json changed = network.config;
  changed.update(fields);
  if (network.untied) changed["tie_word_embeddings"] = false;
  std::set<std::string> described;
  for (const auto& parameter : parameters_of(changed)) {
    const bool is_same = network.parameters->has(parameter.name) &&
                         network.parameters->describe(parameter.name).shape == parameter.shape;
    if (!is_same) return false;
    described.insert(parameter.name);
  }
  for (const graph::Node& node : network.graph.nodes)
    if (node.kind == NodeKind::kParameter && !described.contains(node.target)) return false;
  network.config = std::move(changed);
  return true;
}

void redirect_after(Graph& graph, const Value& from, const Value& to) {
  const std::function<void(graph::Argument&)> redirect = [&](graph::Argument& argument) {
    if (auto* value = std::get_if<Value>(&argument.data); value != nullptr && *value == from)
      argument = to;
    if (auto* list = std::get_if<graph::ArgumentList>(&argument.data))
      std::for_each(list->begin(), list->end(), redirect);
  };
  for (NodeId id = to.node + 1; id < graph.size(); ++id)
    for (graph::Argument& argument : graph.nodes[static_cast<size_t>(id)].arguments)
      redirect(argument);
}

std::vector<std::string> untie(FloatNetwork& network) {
  std::vector<std::string> done;
  Changes changes;
  std::map<NodeId, graph::Insertion> insertions;
  const ParameterReaders readers(network.graph);
  for (const LinearLayer& layer : graph::find_linear_layers(network.graph)) {
    const auto& others = readers.of(layer.weight_name);
    const bool is_tied = std::any_of(others.begin(), others.end(), [&](NodeId id) {
      return network.graph.at(id).target == "aten::embedding";
    });
    if (!is_tied) continue;
    const std::string name = layer.name + ".weight", from = layer.weight_name;
    TORCH_CHECK_VALUE(name != from && !network.parameters->has(name), "[transform] layer ",
                      layer.name, ": its weight is tied to an embedding and there is a parameter ",
                      name, " already, so it cannot get one of its own. Rename that tensor.");
    const NodeId reader = weight_reader(network.graph, layer);
    graph::Insertion& insertion = insertions[reader];
    insertion.nodes.push_back({NodeKind::kParameter, name, layer.name, {}});
    insertion.redirect[layer.transposed ? 0 : 1] = Value{-1, 0};
    changes[name] = {{from},
                     [from](const graph::Parameters& below) { return below.get(from); },
                     network.parameters->describe(from)};
    done.push_back(layer.name);
  }
  if (done.empty()) return done;
  network.graph = graph::insert_before(network.graph, insertions);
  network.untied = true;
  change_parameters(network, std::move(changes));
  return done;
}

}  // namespace laconic::transform
