#include <algorithm>

#include "laconic/model/architectures.h"
#include "laconic/model/decoder.h"

namespace laconic::model {
namespace {

/// Fields that all of them have; every layer has experts.
Mixture read_mixture(const Config& config, const DecoderConfig& decoder) {
  const char* const key = config.has("num_local_experts") ? "num_local_experts" : "num_experts";
  Mixture mixture;
  mixture.experts = config.integer(key, 1, 4096);
  mixture.chosen = config.integer("num_experts_per_tok", 1, mixture.experts);
  mixture.layers.assign(decoder.layers, true);
  return mixture;
}

/// Qwen: experts in every "decoder_sparse_step"-th layer, but for those of "mlp_only_layers".
Mixture read_qwen_mixture(const Config& config, const DecoderConfig& decoder) {
  Mixture mixture = read_mixture(config, decoder);
  mixture.intermediate = config.integer("moe_intermediate_size");
  mixture.normalizes = config.boolean_or("norm_topk_prob", false);
  const int64_t step = config.integer_or("decoder_sparse_step", 1);
  const auto plain =
      config.has("mlp_only_layers") ? config.numbers("mlp_only_layers") : std::vector<double>{};
  for (int64_t i = 0; i < decoder.layers; ++i) {
    const bool is_plain =
        std::find(plain.begin(), plain.end(), static_cast<double>(i)) != plain.end();
    mixture.layers[i] = (i + 1) % step == 0 && !is_plain;
  }
  return mixture;
}

}  // namespace

/// Mixtral (arXiv:2401.04088).
std::shared_ptr<LanguageModule> make_mixtral(const Config& config, const Options& options) {
  DecoderConfig decoder = read_decoder(config, {.groups = 8, .head_dim = std::nullopt});
  if (config.has("sliding_window"))
    decoder.windows.assign(decoder.layers, config.integer("sliding_window"));
  require_layer_types(config, decoder.windows[0] ? "sliding_attention" : "full_attention");
  decoder.mixture = read_mixture(config, decoder);
  decoder.mixture->intermediate = decoder.intermediate;
  decoder.mixture->normalizes = true;
  decoder.mixture->module = "block_sparse_moe";
  decoder.mixture->gate = "w1", decoder.mixture->up = "w3", decoder.mixture->down = "w2";
  config.require_neutral("attention_bias", false);
  return make_decoder(decoder, options);
}

/// Qwen1.5-MoE and Qwen2-MoE (arXiv:2407.10671): an expert more that sees every token.
std::shared_ptr<LanguageModule> make_qwen2_moe(const Config& config, const Options& options) {
  DecoderConfig decoder = read_decoder(config, {.groups = 16, .head_dim = std::nullopt});
  decoder.qkv_bias = config.boolean_or("qkv_bias", true);
  decoder.mixture = read_qwen_mixture(config, decoder);
  decoder.mixture->shared = config.integer("shared_expert_intermediate_size");
  const bool slides = config.boolean_or("use_sliding_window", false);
  const int64_t last = config.integer_or("max_window_layers", 28, 0);
  if (slides)
    read_window_pattern(config, decoder, 4096,
                        [&](int64_t layer) { return layer % 2 == 0 && layer < last; });
  else
    require_layer_types(config, "full_attention");
  config.require_neutral("mlp_bias", false);
  return make_decoder(decoder, options);
}

/// Qwen3-MoE (arXiv:2505.09388).
std::shared_ptr<LanguageModule> make_qwen3_moe(const Config& config, const Options& options) {
  DecoderConfig decoder = read_decoder(config, {.groups = 4, .head_dim = std::nullopt});
  decoder.qkv_bias = decoder.output_bias = config.boolean_or("attention_bias", false);
  decoder.normalizes_heads = true;
  decoder.mixture = read_qwen_mixture(config, decoder);
  const bool absent = !config.json().contains("sliding_window");
  if (config.boolean_or("use_sliding_window", false) && (absent || config.has("sliding_window")))
    decoder.windows.assign(decoder.layers, config.integer_or("sliding_window", 4096));
  require_layer_types(config, decoder.windows[0] ? "sliding_attention" : "full_attention");
  config.require_neutral("mlp_bias", false);
  return make_decoder(decoder, options);
}

}  // namespace laconic::model
