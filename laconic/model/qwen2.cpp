#include "laconic/model/architectures.h"
#include "laconic/model/decoder.h"

namespace laconic::model {

/// Qwen2 (arXiv:2407.10671): biases on query, key and value.
std::shared_ptr<LanguageModule> make_qwen2(const Config& config, const Options& options) {
  DecoderConfig decoder = read_decoder(config, {.groups = 32, .head_dim = std::nullopt});
  decoder.qkv_bias = true;
  read_layer_windows(config, decoder);
  config.require_neutral("mlp_bias", false);
  return make_decoder(decoder, options);
}

}  // namespace laconic::model
