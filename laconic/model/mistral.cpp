#include "laconic/model/architectures.h"
#include "laconic/model/decoder.h"

namespace laconic::model {

/// Jiang et al. 2023, arXiv:2310.06825. An absent "sliding_window" means 4096, null means none.
std::shared_ptr<LanguageModule> make_mistral(const Config& config, const Options& options) {
  DecoderConfig decoder = read_decoder(config, {.groups = 8, .head_dim = std::nullopt});
  const bool absent = !config.json().contains("sliding_window");
  if (absent || config.has("sliding_window"))
    decoder.windows.assign(decoder.layers, config.integer_or("sliding_window", 4096));
  require_layer_types(config, decoder.windows[0] ? "sliding_attention" : "full_attention");
  config.require_neutral("attention_bias", false);
  config.require_neutral("mlp_bias", false);
  return make_decoder(decoder, options);
}

}  // namespace laconic::model
