#include "laconic/load/language_model.h"

#include "laconic/load/huggingface/checkpoint_parameters.h"
#include "laconic/load/huggingface/huggingface.h"

namespace laconic {

LanguageModel load_language_model(const std::filesystem::path& directory,
                                  const LoadOptions& options) {
  TORCH_CHECK_VALUE(std::filesystem::is_directory(directory), "[", directory.string(),
                    "] no such directory: expected ", "one with config.json and *.safetensors.");
  const auto config = model::Config::read(directory / "config.json");
  const model::Architecture& architecture = model::find_architecture(config);
  const auto checkpoint = Checkpoint::open(directory);
  TracedModel traced = trace_model(config, architecture, stored_tensors(directory, *checkpoint));
  LanguageModel result;
  result.directory = directory;
  result.config = config.json();
  result.architecture = architecture.name;
  result.vocabulary_size = traced.vocabulary_size;
  result.maximum_length = traced.maximum_length;
  result.graph = std::move(traced.graph);
  result.layers = graph::find_linear_layers(result.graph);
  result.blocks = graph::find_blocks(result.graph);
  result.parameters = std::make_shared<CheckpointParameters>(checkpoint, options.resident);
  return result;
}

}  // namespace laconic
