#include <cmath>

#include "laconic/model/architectures.h"
#include "laconic/model/decoder.h"

namespace laconic::model {
namespace {

std::optional<double> read_cap(const Config& config, const char* key,
                               std::optional<double> absent) {
  if (!config.json().contains(key)) return absent;
  return config.has(key) ? std::optional(config.positive(key)) : std::nullopt;
}

/// What Gemma 2 and 3 share: norms before and after, gains of 1 + weight, scaled embeddings.
DecoderConfig read_gemma(const Config& config, const RopeDefaults& rope) {
  const bool is_named = config.has("hidden_activation") || !config.has("hidden_act");
  DecoderConfig decoder =
      read_decoder(config, {.groups = 4,
                            .head_dim = 256,
                            .tied = true,
                            .activation = is_named ? "hidden_activation" : "hidden_act",
                            .rope = rope});
  decoder.qkv_bias = decoder.output_bias = config.boolean_or("attention_bias", false);
  decoder.norms_outputs = true;
  decoder.gain = NormGain::kOnePlusWeight;
  decoder.embedding_scale = std::sqrt(static_cast<double>(decoder.hidden));
  const double scalar =
      config.has("query_pre_attn_scalar") ? config.positive("query_pre_attn_scalar") : 256;
  decoder.attention_scale = 1.0 / std::sqrt(scalar);
  config.require_neutral("mlp_bias", false);
  return decoder;
}

}  // namespace

/// Gemma 2 (arXiv:2408.00118): soft caps, a window in every other layer.
std::shared_ptr<LanguageModule> make_gemma2(const Config& config, const Options& options) {
  DecoderConfig decoder = read_gemma(config, {});
  decoder.attention_cap = read_cap(config, "attn_logit_softcapping", 50.0);
  decoder.logit_cap = read_cap(config, "final_logit_softcapping", 30.0);
  read_window_pattern(config, decoder, 4096, [](int64_t layer) { return layer % 2 == 0; });
  return make_decoder(decoder, options);
}

/// Gemma 3, text (arXiv:2503.19786): norms of query and key heads; five layers with a window and a
/// rope of their own, then one without.
std::shared_ptr<LanguageModule> make_gemma3(const Config& config, const Options& options) {
  DecoderConfig decoder = read_gemma(config, {.theta = 1e6, .layers = "full_attention"});
  decoder.normalizes_heads = true;
  decoder.logit_cap = read_cap(config, "final_logit_softcapping", std::nullopt);
  decoder.window_rope = read_rope(config, {.head_dim = decoder.head_dim,
                                           .theta = config.number_or("rope_local_base_freq", 1e4),
                                           .layers = "sliding_attention"});
  const int64_t pattern = config.integer_or("sliding_window_pattern", 6);
  read_window_pattern(config, decoder, 4096,
                      [&](int64_t layer) { return (layer + 1) % pattern != 0; });
  return make_decoder(decoder, options);
}

}  // namespace laconic::model
