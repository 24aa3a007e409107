#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "laconic/base/atomic_file.h"
#include "laconic/file/safetensors/safetensors.h"
#include "laconic/model/architectures.h"
#include "laconic/model/network.h"

namespace laconic::testing {

/// config.json of a small decoder: 61 tokens, 32 features, three layers, four heads of two groups.
inline nlohmann::json random_config(const std::string& architecture) {
  return {{"architectures", {architecture}},
          {"vocab_size", 61},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-6},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false}};
}

/// Writes a model with random weights, large enough that every part matters.
inline void write_random_model(const nlohmann::json& json, const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  const model::Config config(json, "config.json");
  at::manual_seed(7);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& parameter :
       model::Network(config, model::find_architecture(config)).parameters()) {
    const auto noise = at::randn(parameter.shape);
    const bool is_matrix = parameter.shape.size() > 1;
    const double width = static_cast<double>(parameter.shape.back());
    tensors.emplace_back(parameter.name,
                         is_matrix ? noise * (1.5 / std::sqrt(width)) : 1 + 0.2 * noise);
  }
  write_safetensors(directory / "model.safetensors", tensors);
  AtomicFile file(directory / "config.json");
  file.write(json.dump());
  file.commit();
}

}  // namespace laconic::testing
