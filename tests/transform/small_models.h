#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/run.h"
#include "laconic/load/language_model.h"
#include "laconic/model/network.h"
#include "laconic/transform/transform.h"
#include "tests/testing/testing.h"

namespace laconic::testing {

inline nlohmann::json small_decoder() {
  return {{"vocab_size", 97},           {"hidden_size", 48},        {"intermediate_size", 80},
          {"num_hidden_layers", 3},     {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"rms_norm_eps", 1e-5},       {"hidden_act", "silu"},     {"max_position_embeddings", 64},
          {"tie_word_embeddings", true}};
}

/// config.json of a small model of every architecture.
inline std::map<std::string, nlohmann::json> small_configs() {
  std::map<std::string, nlohmann::json> configs;
  for (const char* name : {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"})
    configs[name] = small_decoder();
  configs["MistralForCausalLM"]["tie_word_embeddings"] = false;
  configs["Qwen3ForCausalLM"] = small_decoder();
  configs["Qwen3ForCausalLM"]["head_dim"] = 16;
  configs["GPT2LMHeadModel"] = {{"vocab_size", 97},
                                {"n_embd", 48},
                                {"n_layer", 3},
                                {"n_head", 4},
                                {"n_positions", 64},
                                {"layer_norm_epsilon", 1e-5},
                                {"activation_function", "gelu_new"}};
  configs["GPTNeoXForCausalLM"] = {{"vocab_size", 97},         {"hidden_size", 48},
                                   {"intermediate_size", 96},  {"num_hidden_layers", 3},
                                   {"num_attention_heads", 4}, {"max_position_embeddings", 64},
                                   {"layer_norm_eps", 1e-5},   {"hidden_act", "gelu"}};
  configs["OPTForCausalLM"] = {{"vocab_size", 97},
                               {"hidden_size", 48},
                               {"ffn_dim", 96},
                               {"num_hidden_layers", 3},
                               {"num_attention_heads", 4},
                               {"max_position_embeddings", 64},
                               {"word_embed_proj_dim", 48},
                               {"activation_function", "relu"}};
  for (auto& [name, config] : configs) config["architectures"] = {name};
  return configs;
}

/// Those with more norms, layers that are several in one, or mixtures of experts.
inline std::map<std::string, nlohmann::json> newer_configs() {
  std::map<std::string, nlohmann::json> configs;
  for (const char* name : {"Phi3ForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM",
                           "MixtralForCausalLM", "Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM"}) {
    configs[name] = small_decoder();
    configs[name]["architectures"] = {name};
    configs[name]["tie_word_embeddings"] = false;
  }
  for (const char* name : {"Gemma2ForCausalLM", "Gemma3ForCausalLM"}) {
    configs[name]["head_dim"] = 12;
    configs[name]["hidden_activation"] = "gelu_pytorch_tanh";
    configs[name].erase("hidden_act");
  }
  for (const char* name : {"MixtralForCausalLM", "Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM"}) {
    configs[name]["num_experts_per_tok"] = 2;
    configs[name]["moe_intermediate_size"] = 40;
    configs[name]["shared_expert_intermediate_size"] = 40;
    configs[name][name[0] == 'M' ? "num_local_experts" : "num_experts"] = 3;
  }
  return configs;
}

/// All of them.
inline std::map<std::string, nlohmann::json> every_config() {
  auto configs = small_configs();
  configs.merge(newer_configs());
  return configs;
}

/// Token ids in place of a calibration text.
inline at::Tensor small_windows() {
  at::manual_seed(11);
  return at::randint(0, 97, {6, 16}, at::kLong);
}

/// A checkpoint of random numbers; gains of norms and biases are far from 1 and 0.
inline LanguageModel small_model(const std::filesystem::path& directory,
                                 const nlohmann::json& json) {
  at::set_num_threads(1);  // more wait for each other longer than they compute
  const model::Config config(json, "small");
  const model::Network network(config, model::find_architecture(config));
  at::manual_seed(3);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& parameter : network.parameters()) {
    const bool is_vector = parameter.shape.size() == 1;
    auto tensor = at::randn(parameter.shape) * (is_vector ? 0.4 : 0.2);
    const bool is_gain = is_vector && parameter.name.ends_with("weight");
    tensors.emplace_back(parameter.name, is_gain ? tensor + 1 : tensor);
  }
  write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
  std::ofstream(directory / "config.json") << json.dump();
  return load_language_model(directory, {.resident = false});
}

inline at::Tensor logits_of(const graph::Graph& graph, const graph::Parameters& parameters) {
  const c10::InferenceMode no_gradient;
  at::manual_seed(7);
  return graph::Runner(graph)(at::randint(0, 97, {2, 11}, at::kLong), parameters);
}
inline at::Tensor logits_of(const LanguageModel& model) {
  return logits_of(model.graph, *model.parameters);
}

/// Windows, and one quantizer for every layer of the blocks.
inline transform::TransformContext context_of(const LanguageModel& model, const QuantSpec& spec) {
  transform::TransformContext context{small_windows(), {}, {}};
  for (const auto& layer : model.layers)
    if (layer.node < model.blocks.back().end) context.weights[layer.name] = spec;
  return context;
}

/// Largest difference, relative to the largest number.
inline double difference(const at::Tensor& x, const at::Tensor& y) {
  return ((x - y).abs().max() / y.abs().max()).item<double>();
}

inline TransformReport transformed(LanguageModel& model, const std::string& name,
                                   const nlohmann::json& options = nlohmann::json::object()) {
  return transform_model(model, find_transform(name), options);
}

/// float32 sums in another order.
inline constexpr double kRounding = 2e-5;

/// `transformed`, after which the network must compute what it did.
inline TransformReport transformed_alike(LanguageModel& model, const std::string& name) {
  const auto before = logits_of(model);
  TransformReport report = transformed(model, name);
  EXPECT_LT(difference(logits_of(model), before), kRounding);
  return report;
}

}  // namespace laconic::testing
