#include "laconic/model/architectures.h"
#include "laconic/model/decoder.h"

namespace laconic::model {

/// Touvron et al. 2023, arXiv:2302.13971, and the versions after it.
std::shared_ptr<LanguageModule> make_llama(const Config& config, const Options& options) {
  DecoderConfig decoder = read_decoder(config);
  decoder.qkv_bias = decoder.output_bias = config.boolean_or("attention_bias", false);
  decoder.mlp_bias = config.boolean_or("mlp_bias", false);
  config.require_neutral("sliding_window", nullptr);
  config.require_neutral("use_sliding_window", false);
  require_layer_types(config, "full_attention");
  return make_decoder(decoder, options);
}

}  // namespace laconic::model
