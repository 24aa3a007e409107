#include "tests/export/small_llama.h"

#include <ATen/Parallel.h>

#include "laconic/file/json/json.h"

namespace laconic::testing {

using nlohmann::json;

json small_config(int64_t times) {
  return {{"architectures", json::array({"LlamaForCausalLM"})},
          {"hidden_size", 64 * times},
          {"intermediate_size", 96 * times},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"vocab_size", 6},
          {"max_position_embeddings", 128},
          {"rms_norm_eps", 1e-5},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", true},
          {"bos_token_id", 3},
          {"torch_dtype", "bfloat16"}};
}

json small_tokenizer() {
  return {{"added_tokens", json::array({{{"id", 3}, {"content", "<s>"}, {"special", true}}})},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}},
            {"merges", json::array({json::array({"a", "b"})})}}}};
}

std::vector<NativeLayer> small_layers(const QuantSpec& spec, int64_t times) {
  const std::vector<std::pair<std::string, std::vector<int64_t>>> shapes = {
      {"self_attn.q_proj", {64, 64}}, {"self_attn.k_proj", {32, 64}},
      {"self_attn.v_proj", {32, 64}}, {"self_attn.o_proj", {64, 64}},
      {"mlp.gate_proj", {96, 64}},    {"mlp.up_proj", {96, 64}},
      {"mlp.down_proj", {64, 96}}};
  std::vector<NativeLayer> layers;
  for (const auto& [short_name, shape] : shapes) {
    const std::string name = "model.layers.0." + short_name;
    layers.push_back({.name = name,
                      .weight_name = name + ".weight",
                      .weight = spec,
                      .shape = {shape[0] * times, shape[1] * times}});
  }
  return layers;
}

std::shared_ptr<const NativeDirectory> write_small_llama(const std::filesystem::path& directory,
                                                         const QuantSpec& spec, int64_t times) {
  at::set_num_threads(1);  // more wait for each other longer than they compute
  at::manual_seed(7);
  std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"model.embed_tokens.weight", at::randn({6, 64 * times}).to(at::kBFloat16)},
      {"model.norm.weight", at::ones({64 * times})},
      {"model.layers.0.input_layernorm.weight", at::ones({64 * times})},
      {"model.layers.0.post_attention_layernorm.weight", at::ones({64 * times})}};
  json layers = json::array();
  for (const NativeLayer& layer : small_layers(spec, times)) {
    const auto weight = at::randn(layer.shape);
    weight.select(0, 0).zero_();  // as in pruned models
    const auto parameters = find_parameters(spec, weight);
    const auto codes = quantize_codes(spec, weight, parameters);
    for (auto& tensor : native_tensors(layer, codes, parameters)) tensors.push_back(tensor);
    layers.push_back(to_json(layer));
  }
  const auto source = directory.string() + "-source";
  std::filesystem::create_directories(source);
  const std::filesystem::path config = source + "/config.json", words = source + "/tokenizer.json";
  write_json_file(config, small_config(times));
  write_json_file(words, small_tokenizer());
  NativeWriter writer(directory, 1);
  writer.write_shard(0, tensors);
  writer.finish({{"architecture", "LlamaForCausalLM"}, {"layers", layers}, {"recipe", "test"}},
                {config, words});
  return NativeDirectory::open(directory);
}

QuantSpec gguf_spec(int bits) {
  return {.format = IntFormat{.bit_width = bits},
          .granularity = PerGroup{.axis = 1, .group_size = 32},
          .scale = StatisticScale{{.restriction = StoredAs{}}}};
}

}  // namespace laconic::testing
