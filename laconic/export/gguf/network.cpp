#include "laconic/export/gguf/network.h"

#include <c10/util/Exception.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "laconic/base/text.h"
#include "laconic/export/gguf/rope_keys.h"
#include "laconic/model/architectures.h"

namespace laconic {
namespace {

using model::Config;

struct Row {
  const char* checkpoint;
  const char* gguf;
  RowOrder order = RowOrder::kAsStored;
};

constexpr Row kLlamaTop[] = {
    {"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"}};
constexpr Row kGpt2Top[] = {{"transformer.wte", "token_embd"},
                            {"transformer.wpe", "position_embd"},
                            {"transformer.ln_f", "output_norm"},
                            {"lm_head", "output"}};
constexpr Row kNeoxTop[] = {{"gpt_neox.embed_in", "token_embd"},
                            {"gpt_neox.final_layer_norm", "output_norm"},
                            {"embed_out", "output"},
                            {"lm_head", "output"}};
constexpr Row kLlamaLayer[] = {{"self_attn.q_proj", "attn_q", RowOrder::kQueryPairs},
                               {"self_attn.k_proj", "attn_k", RowOrder::kKeyPairs},
                               {"self_attn.v_proj", "attn_v"},
                               {"self_attn.o_proj", "attn_output"},
                               {"mlp.gate_proj", "ffn_gate"},
                               {"mlp.up_proj", "ffn_up"},
                               {"mlp.down_proj", "ffn_down"},
                               {"input_layernorm", "attn_norm"},
                               {"post_attention_layernorm", "ffn_norm"}};
constexpr Row kQwen2Layer[] = {
    {"self_attn.q_proj", "attn_q"},          {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},          {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},           {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},           {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"}};
constexpr Row kQwen3Layer[] = {
    {"self_attn.q_proj", "attn_q"},          {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},          {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},     {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},           {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},           {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"}};
constexpr Row kGpt2Layer[] = {{"ln_1", "attn_norm"},          {"attn.c_attn", "attn_qkv"},
                              {"attn.c_proj", "attn_output"}, {"ln_2", "ffn_norm"},
                              {"mlp.c_fc", "ffn_up"},         {"mlp.c_proj", "ffn_down"}};
constexpr Row kNeoxLayer[] = {{"input_layernorm", "attn_norm"},
                              {"attention.query_key_value", "attn_qkv", RowOrder::kQkvParts},
                              {"attention.dense", "attn_output"},
                              {"post_attention_layernorm", "ffn_norm"},
                              {"mlp.dense_h_to_4h", "ffn_up"},
                              {"mlp.dense_4h_to_h", "ffn_down"}};

void set(GgufNetwork& network, const std::string& key, GgufValue value) {
  network.keys.emplace_back(network.architecture + "." + key, std::move(value));
}

void set_size(GgufNetwork& network, const std::string& key, int64_t value) {
  set(network, key, static_cast<uint32_t>(value));
}

void require(GgufNetwork& network, bool fits, const std::string& field, const std::string& got,
             const std::string& only) {
  if (fits) return;
  network.obstacles.push_back("config.json: " + field + " is " + got +
                              ", but llama.cpp's architecture " + network.architecture +
                              " knows only " + only + ". " + kNearest);
}

void check_activation(const Config& config, const std::string& key, GgufNetwork& network,
                      const std::vector<std::string>& known) {
  const std::string name = config.text(key);
  require(network, std::find(known.begin(), known.end(), name) != known.end(), key, name,
          join(known, ", "));
}

// Llama and its kin.
void read_decoder(const Config& config, GgufNetwork& network, int64_t default_groups,
                  int64_t default_head_dim) {
  const int64_t hidden = config.integer("hidden_size");
  network.layers = config.integer("num_hidden_layers", 1, Config::kMostLayers);
  network.heads = config.integer("num_attention_heads");
  network.kv_heads =
      config.integer_or("num_key_value_heads", default_groups > 0 ? default_groups : network.heads);
  network.vocabulary = config.integer("vocab_size");
  network.is_tied = config.boolean_or("tie_word_embeddings", false);
  const int64_t head_dim = config.integer_or(
      "head_dim", default_head_dim > 0 ? default_head_dim : hidden / network.heads);
  set_size(network, "context_length", config.integer("max_position_embeddings"));
  set_size(network, "embedding_length", hidden);
  set_size(network, "block_count", network.layers);
  set_size(network, "feed_forward_length", config.integer("intermediate_size"));
  set_size(network, "attention.head_count", network.heads);
  set_size(network, "attention.head_count_kv", network.kv_heads);
  set_size(network, "attention.key_length", head_dim);
  set_size(network, "attention.value_length", head_dim);
  set(network, "attention.layer_norm_rms_epsilon",
      static_cast<float>(config.number("rms_norm_eps")));
  set_size(network, "rope.dimension_count", head_dim);
  check_activation(config, "hidden_act", network, {"silu", "swish"});
  put_rope_keys(config, {.head_dim = head_dim, .theta = config.number_or("rope_theta", 10000.0)},
                network);
}

void note_window(const Config& config, GgufNetwork& network, bool is_used) {
  if (!is_used || !config.has("sliding_window")) return;
  const int64_t window = config.integer("sliding_window");
  if (window >= config.integer("max_position_embeddings")) return;
  network.notes.push_back("llama.cpp's architecture " + network.architecture +
                          " has no sliding window: beyond " + std::to_string(window) +
                          " tokens its answers differ from the model's.");
}

void read_llama(const Config& config, GgufNetwork& network) { read_decoder(config, network, 0, 0); }

void read_mistral(const Config& config, GgufNetwork& network) {
  read_decoder(config, network, 8, 0);
  note_window(config, network, true);
}

void read_qwen2(const Config& config, GgufNetwork& network) {
  read_decoder(config, network, 32, 0);
  note_window(config, network, config.boolean_or("use_sliding_window", false));
}

void read_qwen3(const Config& config, GgufNetwork& network) {
  read_decoder(config, network, 32, 128);
  require(network, !config.boolean_or("attention_bias", false), "attention_bias", "true", "false");
  note_window(config, network, config.boolean_or("use_sliding_window", false));
}

void read_gpt2(const Config& config, GgufNetwork& network) {
  const auto key = [&](const char* own, const char* common) {
    return config.has(own) || !config.has(common) ? own : common;
  };
  const int64_t hidden = config.integer(key("n_embd", "hidden_size"));
  network.layers = config.integer(key("n_layer", "num_hidden_layers"), 1, Config::kMostLayers);
  network.heads = network.kv_heads = config.integer(key("n_head", "num_attention_heads"));
  network.vocabulary = config.integer("vocab_size");
  network.is_tied = config.boolean_or("tie_word_embeddings", true);
  network.stores_transposed = true;
  set_size(network, "context_length",
           config.integer(key("n_positions", "max_position_embeddings")));
  set_size(network, "embedding_length", hidden);
  set_size(network, "block_count", network.layers);
  set_size(network, "feed_forward_length", config.integer_or("n_inner", 4 * hidden));
  set_size(network, "attention.head_count", network.heads);
  set(network, "attention.layer_norm_epsilon",
      static_cast<float>(config.number("layer_norm_epsilon")));
  check_activation(config, "activation_function", network,
                   {"gelu_new", "gelu", "gelu_pytorch_tanh", "gelu_fast"});
  require(network, config.boolean_or("scale_attn_weights", true), "scale_attn_weights", "false",
          "true");
  require(network, !config.boolean_or("scale_attn_by_inverse_layer_idx", false),
          "scale_attn_by_inverse_layer_idx", "true", "false");
}

void read_neox(const Config& config, GgufNetwork& network) {
  const int64_t hidden = config.integer("hidden_size");
  network.layers = config.integer("num_hidden_layers", 1, Config::kMostLayers);
  network.heads = network.kv_heads = config.integer("num_attention_heads");
  network.vocabulary = config.integer("vocab_size");
  network.is_tied = config.boolean_or("tie_word_embeddings", false);
  network.needs_head = true;
  set_size(network, "context_length", config.integer("max_position_embeddings"));
  set_size(network, "embedding_length", hidden);
  set_size(network, "block_count", network.layers);
  set_size(network, "feed_forward_length", config.integer("intermediate_size"));
  set_size(network, "attention.head_count", network.heads);
  set(network, "attention.layer_norm_epsilon", static_cast<float>(config.number("layer_norm_eps")));
  set(network, "use_parallel_residual", config.boolean_or("use_parallel_residual", true));
  check_activation(config, "hidden_act", network,
                   {"gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast"});
  require(network, config.boolean_or("attention_bias", true), "attention_bias", "false", "true");
  const RopeFacts facts{.head_dim = hidden / network.heads,
                        .theta = config.number_or("rotary_emb_base", 10000.0),
                        .partial_factor = config.number_or("rotary_pct", 0.25)};
  set_size(network, "rope.dimension_count", put_rope_keys(config, facts, network));
}

struct Family {
  const char* checkpoint;
  const char* gguf;
  const char* layers;  // what comes before a layer's number
  std::span<const Row> top, layer;
  void (*read)(const Config&, GgufNetwork&);
};

constexpr Family kFamilies[] = {
    {"LlamaForCausalLM", "llama", "model.layers.", kLlamaTop, kLlamaLayer, read_llama},
    {"MistralForCausalLM", "llama", "model.layers.", kLlamaTop, kLlamaLayer, read_mistral},
    {"Qwen2ForCausalLM", "qwen2", "model.layers.", kLlamaTop, kQwen2Layer, read_qwen2},
    {"Qwen3ForCausalLM", "qwen3", "model.layers.", kLlamaTop, kQwen3Layer, read_qwen3},
    {"GPT2LMHeadModel", "gpt2", "transformer.h.", kGpt2Top, kGpt2Layer, read_gpt2},
    {"GPTNeoXForCausalLM", "gptneox", "gpt_neox.layers.", kNeoxTop, kNeoxLayer, read_neox},
};

const Family* find_family(const std::string& architecture) {
  for (const Family& family : kFamilies) {
    if (architecture == family.checkpoint) return &family;
  }
  return nullptr;
}

// "model.layers.3.mlp.up_proj" -> "blk.3." and the row of mlp.up_proj.
std::optional<GgufPlace> find_place(const Family& family, const GgufNetwork& network,
                                    const std::string& module) {
  for (const Row& row : family.top) {
    if (module == row.checkpoint) return GgufPlace{row.gguf, row.order};
  }
  const std::string_view layers = family.layers;
  if (!module.starts_with(layers)) return std::nullopt;
  const char* begin = module.data() + layers.size();
  const char* end = module.data() + module.size();
  int64_t number = -1;
  const auto parsed = std::from_chars(begin, end, number);
  if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != '.') return std::nullopt;
  const std::string_view rest(parsed.ptr + 1, static_cast<size_t>(end - parsed.ptr - 1));
  if (number < 0 || number >= network.layers) return std::nullopt;
  for (const Row& row : family.layer) {
    if (rest == row.checkpoint)
      return GgufPlace{"blk." + std::to_string(number) + "." + row.gguf, row.order};
  }
  return std::nullopt;
}

}  // namespace

GgufNetwork read_network(const nlohmann::json& json) {
  const Config config(json, "config.json");
  const model::Architecture& architecture = model::find_architecture(config);
  const Family* family = find_family(architecture.name);
  GgufNetwork network;
  if (family == nullptr) {
    network.obstacles.push_back("config.json: architecture " + std::string(architecture.name) +
                                ": no GGUF file is written of it. " + kNearest);
    return network;
  }
  network.architecture = family->gguf;
  set_size(network, "vocab_size", config.integer("vocab_size"));
  family->read(config, network);
  return network;
}

std::optional<GgufPlace> place_of(const nlohmann::json& json, const GgufNetwork& network,
                                  const std::string& tensor) {
  const model::Architecture& architecture = model::find_architecture(Config(json, "config.json"));
  const Family* family = find_family(architecture.name);
  const size_t dot = tensor.rfind('.');
  const std::string module = tensor.substr(0, dot);
  const std::string suffix = dot == std::string::npos ? "" : tensor.substr(dot);
  auto place = find_place(*family, network, module);
  // Some checkpoints are of the body alone and lack its prefix.
  if (!place) place = find_place(*family, network, architecture.prefix + module);
  const bool is_parameter = suffix == ".weight" || suffix == ".bias";
  if (place && is_parameter) {
    if (place->name == "output" && network.is_tied) return std::nullopt;
    place->name += suffix;
    return place;
  }
  TORCH_CHECK_VALUE(matches_pattern(tensor, architecture.ignored), "[gguf] tensor ", tensor,
                    " has no place in llama.cpp's architecture ", network.architecture,
                    ": expected the tensors of ", architecture.name, ".");
  return std::nullopt;
}

std::vector<std::string> required_tensors(const nlohmann::json& json, const GgufNetwork& network) {
  const Family* family = find_family(model::find_architecture(Config(json, "config.json")).name);
  std::vector<std::string> names;
  for (const Row& row : family->top) {
    if (std::string_view(row.gguf) != "output") names.push_back(std::string(row.gguf) + ".weight");
  }
  if (!network.is_tied || network.needs_head) names.emplace_back("output.weight");
  for (int64_t i = 0; i < network.layers; ++i) {
    for (const Row& row : family->layer)
      names.push_back("blk." + std::to_string(i) + "." + row.gguf + ".weight");
  }
  return names;
}

at::Tensor reordered(const at::Tensor& tensor, RowOrder order, const GgufNetwork& network) {
  if (order == RowOrder::kAsStored) return tensor;
  const int64_t heads = order == RowOrder::kKeyPairs ? network.kv_heads : network.heads;
  const int64_t first = order == RowOrder::kQkvParts ? 3 : 2;
  TORCH_CHECK_VALUE(tensor.size(0) % (heads * first) == 0, "[gguf] ", tensor.size(0),
                    " rows do not split into ", heads, " heads of ", first,
                    " parts. config.json and checkpoint are of different models.");
  const auto split = tensor.unflatten(0, {heads, first, tensor.size(0) / heads / first});
  const auto swapped = order == RowOrder::kQkvParts ? split.transpose(0, 1) : split.transpose(1, 2);
  return swapped.flatten(0, 2).contiguous();
}

}  // namespace laconic
