#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "laconic/graph/graph.h"
#include "laconic/graph/match.h"
#include "laconic/graph/parameters.h"
#include "laconic/load/tokenizer/tokenizer.h"
#include "laconic/quant/quantizer/quant_parts.h"

namespace laconic {

/// A language model of a directory (Hugging Face or native layout), ready to run: input_ids [B, T]
/// -> logits [B, T, V].
struct LanguageModel {
  std::filesystem::path directory;
  nlohmann::json config;     ///< config.json
  std::string architecture;  ///< "LlamaForCausalLM"
  int64_t vocabulary_size = 0;
  int64_t maximum_length = 0;  ///< positions the model was made for
  graph::Graph graph;          ///< for a native directory: with the quantizers of inputs in place
  std::vector<graph::LinearLayer> layers;  ///< every linear layer, quantized or not
  std::vector<graph::Block> blocks;
  /// Parameters from the mapped files, as float32; a native directory's quantized weights come
  /// dequantized.
  std::shared_ptr<const graph::Parameters> parameters;
  std::shared_ptr<const Tokenizer> tokenizer;  ///< null when the directory has none
  /// Parameters that are not stored in the directory as `parameters` gives them: changed or made
  /// anew by transforms.
  std::set<std::string> changed = {};
  /// What made `graph` another than the network of config.json: transforms by name; else empty.
  std::vector<std::string> graph_changes = {};
};

struct LoadOptions {
  /// Keep converted parameters in memory after the first use (evaluation), or convert at each use
  /// (block engine).
  bool resident = true;
  /// The program's own parts of quantizers, which a native directory's specs may name.
  QuantParts parts = {};
};

/// @throws c10::ValueError naming file and field: no config.json, unknown architecture (lists the
/// known ones), a
///         tensor that is absent or has another shape than the configuration says.
LanguageModel load_language_model(const std::filesystem::path& directory,
                                  const LoadOptions& options = {});

}  // namespace laconic
