#include "laconic/load/language_model.h"

#include <map>
#include <set>

#include "laconic/graph/save.h"
#include "laconic/load/huggingface/checkpoint_parameters.h"
#include "laconic/load/huggingface/huggingface.h"
#include "laconic/load/native/native_parameters.h"

namespace laconic {
namespace {

/// Quantizers on the inputs of layers that have one; a static one with its stored parameters.
graph::Graph with_inputs_quantized(const graph::Graph& graph, const NativeDirectory& native) {
  std::map<std::string, graph::LayerQuantizers> quantizers;
  for (const NativeLayer& layer : native.layers())
    if (layer.input)
      quantizers[layer.name] = {
          .weight = std::nullopt,
          .input = graph::Quantizer{*layer.input, native.input_parameters(layer)}};
  return quantizers.empty() ? graph : graph::place_quantizers(graph, quantizers);
}

void check_layers(const graph::Graph& graph, const NativeDirectory& native) {
  std::map<std::string, bool> transposed;
  std::set<std::string> embeddings;
  for (const auto& layer : graph::find_linear_layers(graph))
    transposed.emplace(layer.name, layer.transposed);
  for (const auto& layer : graph::find_embeddings(graph)) embeddings.insert(layer.name);
  for (const NativeLayer& layer : native.layers()) {
    const std::string where =
        "[" + (native.path() / "laconic.json").string() + "] layer \"" + layer.name + "\"";
    constexpr const char* kMend = ". laconic.json and config.json are of different models.";
    if (layer.is_embedding) {
      TORCH_CHECK_VALUE(embeddings.contains(layer.name), where,
                        ": expected an embedding of the network, got none of this name", kMend);
      continue;
    }
    const auto found = transposed.find(layer.name);
    TORCH_CHECK_VALUE(
        found != transposed.end() && found->second == layer.transposed, where, ": expected ",
        found == transposed.end() ? "a linear layer of the network"
                                  : (found->second ? "transposed true" : "transposed false"),
        ", got ", layer.transposed ? "transposed true" : "transposed false", kMend);
  }
}

/// The network of a directory that brings its graph.
TracedModel read_graph(const model::Config& config, const model::Architecture& architecture,
                       const NativeDirectory& native) {
  const model::Network network(config, architecture);
  const auto path = native.path() / NativeDirectory::kGraphFile;
  TORCH_CHECK_VALUE(std::filesystem::exists(path), "[", path.string(), "] expected the graph that ",
                    "laconic.json speaks of, got no such file. Quantize again.");
  TracedModel traced{graph::load_graph(path), network.vocabulary_size(), network.maximum_length()};
  const auto stored = stored_tensors(native);
  for (const graph::Node& node : traced.graph.nodes) {
    if (node.kind != graph::NodeKind::kParameter) continue;
    TORCH_CHECK_VALUE(stored.tensors.contains(node.target), "[", path.string(),
                      "] the graph reads a tensor \"", node.target,
                      "\": expected it in the directory, got none. Quantize again.");
  }
  return traced;
}

std::shared_ptr<const Tokenizer> find_tokenizer(const std::filesystem::path& directory) {
  for (const char* file : {"tokenizer.json", "tokenizer.model"})
    if (std::filesystem::exists(directory / file)) return Tokenizer::load(directory);
  return nullptr;
}

}  // namespace

LanguageModel load_language_model(const std::filesystem::path& directory,
                                  const LoadOptions& options) {
  TORCH_CHECK_VALUE(std::filesystem::is_directory(directory), "[", directory.string(),
                    "] expected a model's directory (config.json, *.safetensors), got ",
                    std::filesystem::exists(directory) ? "a file." : "no such path.");
  const auto config = model::Config::read(directory / "config.json");
  const model::Architecture& architecture = model::find_architecture(config);
  LanguageModel result;
  result.directory = directory;
  result.config = config.json();
  result.architecture = architecture.name;
  TracedModel traced;
  if (NativeDirectory::is_native(directory)) {
    const auto native = NativeDirectory::open(directory, options.parts);
    result.graph_changes = native->graph_changes();
    traced = result.graph_changes.empty()
                 ? trace_model(config, architecture, stored_tensors(*native))
                 : read_graph(config, architecture, *native);
    check_layers(traced.graph, *native);
    traced.graph = with_inputs_quantized(traced.graph, *native);
    result.parameters = std::make_shared<NativeParameters>(native, options.resident);
  } else {
    const auto checkpoint = Checkpoint::open(directory);
    traced = trace_model(config, architecture, stored_tensors(directory, *checkpoint));
    result.parameters =
        std::make_shared<CheckpointParameters>(checkpoint, options.resident, directory.string());
  }
  result.vocabulary_size = traced.vocabulary_size;
  result.maximum_length = traced.maximum_length;
  result.graph = std::move(traced.graph);
  result.layers = graph::find_linear_layers(result.graph);
  result.blocks = graph::find_blocks(result.graph);
  result.tokenizer = find_tokenizer(directory);
  return result;
}

}  // namespace laconic
