#include "laconic/transform/biases/biases.h"

#include <ATen/ops/zeros.h>

#include "laconic/file/json/options.h"

namespace laconic::transform {
namespace {

/// What configurations of Llama's kin call it.
bool is_in_config(FloatNetwork& network) {
  for (const nlohmann::json& fields :
       {nlohmann::json{{"attention_bias", true}, {"mlp_bias", true}},
        nlohmann::json{{"attention_bias", true}}, nlohmann::json{{"mlp_bias", true}}})
    if (put_in_config(network, fields)) return true;
  return false;
}

}  // namespace

TransformReport biases(FloatNetwork& network, const nlohmann::json& options) {
  check_biases(options);
  TransformReport report{"biases", {}, {}};
  Changes changes;
  std::map<graph::NodeId, graph::Insertion> insertions;
  const ParameterReaders readers(network.graph);
  const auto blocks = graph::find_blocks(network.graph);
  for (const graph::LinearLayer& layer : graph::find_linear_layers(network.graph)) {
    const Bias bias = readers.bias_of(layer);
    if (!bias.name.empty() || !bias.is_plain || block_of(blocks, layer) == nullptr) continue;
    const auto described = network.parameters->describe(layer.weight_name);
    const int64_t outputs = described.shape.at(layer.transposed ? 1 : 0);
    const std::string name = insert_bias(network, layer, insertions);
    changes[name] = {{},
                     [=](const graph::Parameters&) { return at::zeros({outputs}); },
                     {{outputs}, at::kFloat}};
  }
  const size_t count = changes.size();
  report.done.push_back(std::to_string(count) + " layers got a bias of zeros.");
  if (count == 0) return report;
  network.graph = graph::insert_before(network.graph, insertions);
  change_parameters(network, std::move(changes));
  if (is_in_config(network)) return report;
  network.graph_changes.emplace_back("biases");
  report.fallbacks.emplace_back(
      "config.json has no words for these biases: the directory holds the graph, which exports "
      "refuse.");
  return report;
}

void check_biases(const nlohmann::json& options) {
  check_option_names("transform biases", options, {});
}

nlohmann::json biases_defaults() { return nlohmann::json::object(); }

}  // namespace laconic::transform
