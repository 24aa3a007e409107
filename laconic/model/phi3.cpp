#include "laconic/model/architectures.h"
#include "laconic/model/decoder.h"

namespace laconic::model {

/// Phi-3 (arXiv:2404.14219): query, key and value in one linear layer, gate and up in another.
std::shared_ptr<LanguageModule> make_phi3(const Config& config, const Options& options) {
  DecoderConfig decoder = read_decoder(config, {.rope = {.turns_part = true}});
  decoder.is_fused = true;
  if (config.has("sliding_window"))
    decoder.windows.assign(decoder.layers, config.integer("sliding_window"));
  require_layer_types(config, decoder.windows[0] ? "sliding_attention" : "full_attention");
  config.require_neutral("attention_bias", false);
  config.require_neutral("mlp_bias", false);
  return make_decoder(decoder, options);
}

}  // namespace laconic::model
