#include "laconic/model/architectures.h"
#include "laconic/model/decoder.h"

namespace laconic::model {

/// Qwen3 (arXiv:2505.09388): RMS norms on the heads of query and key.
std::shared_ptr<LanguageModule> make_qwen3(const Config& config, const Options& options) {
  DecoderConfig decoder = read_decoder(config, {.groups = 32, .head_dim = 128});
  decoder.qkv_bias = decoder.output_bias = config.boolean_or("attention_bias", false);
  decoder.normalizes_heads = true;
  read_layer_windows(config, decoder);
  config.require_neutral("mlp_bias", false);
  return make_decoder(decoder, options);
}

}  // namespace laconic::model
