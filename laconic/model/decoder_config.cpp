#include <cmath>

#include "laconic/model/decoder.h"

namespace laconic::model {

DecoderConfig read_decoder(const Config& config, const DecoderDefaults& defaults) {
  DecoderConfig result;
  result.vocabulary = config.integer("vocab_size");
  result.hidden = config.integer("hidden_size");
  result.intermediate = config.integer("intermediate_size");
  result.layers = config.integer("num_hidden_layers", 1, Config::kMostLayers);
  result.heads = config.integer("num_attention_heads");
  result.maximum_length = config.integer("max_position_embeddings");
  const bool absent = !config.json().contains("num_key_value_heads");
  result.groups = config.integer_or("num_key_value_heads",
                                    absent && defaults.groups ? *defaults.groups : result.heads);
  if (result.heads % result.groups != 0)
    config.fail("num_key_value_heads",
                "a divisor of num_attention_heads, " + std::to_string(result.heads));
  const std::optional<int64_t> default_head_dim =
      config.json().contains("head_dim") ? std::nullopt : defaults.head_dim;
  if (!config.has("head_dim") && !default_head_dim && result.hidden % result.heads != 0)
    config.fail("num_attention_heads",
                "a divisor of hidden_size, " + std::to_string(result.hidden));
  result.head_dim =
      config.integer_or("head_dim", default_head_dim.value_or(result.hidden / result.heads));
  if (result.head_dim % 2 != 0)
    config.fail(config.has("head_dim") ? "head_dim" : "num_attention_heads",
                "heads with an even number of features for rope, which are " +
                    std::to_string(result.head_dim));
  if (result.heads > Config::kLargest / result.head_dim)
    config.fail(config.has("head_dim") ? "head_dim" : "num_attention_heads",
                "at most " + std::to_string(Config::kLargest) + " features of all " +
                    std::to_string(result.heads) + " heads");
  result.epsilon = config.positive("rms_norm_eps");
  result.activation = read_activation(config, defaults.activation);
  result.tied = config.boolean_or("tie_word_embeddings", defaults.tied);
  result.attention_scale = 1.0 / std::sqrt(static_cast<double>(result.head_dim));
  if (!defaults.rope.turns_part) config.require_neutral("partial_rotary_factor", 1.0);
  config.require_neutral("use_parallel_residual", false);
  RopeDefaults rope = defaults.rope;
  rope.head_dim = result.head_dim;
  rope.theta = config.number_or("rope_theta", rope.theta);
  if (rope.turns_part) rope.partial_factor = config.number_or("partial_rotary_factor", 1.0);
  result.rope = read_rope(config, rope);
  result.windows.assign(result.layers, std::nullopt);
  return result;
}

void require_layer_types(const Config& config, const std::string& kind) {
  if (!config.has("layer_types")) return;
  for (const std::string& type : config.texts("layer_types"))
    if (type != kind) config.unsupported("layer_types", "another kind than \"" + kind + "\"");
}

void read_window_pattern(const Config& config, DecoderConfig& decoder, int64_t default_window,
                         const std::function<bool(int64_t)>& is_windowed) {
  const bool absent = !config.json().contains("sliding_window");
  std::optional<int64_t> window;
  if (absent || config.has("sliding_window"))
    window = config.integer_or("sliding_window", default_window);
  const bool has_types = config.has("layer_types");
  const auto types = has_types ? config.texts("layer_types") : std::vector<std::string>{};
  if (has_types && types.size() != decoder.windows.size())
    config.fail("layer_types",
                "a list of " + std::to_string(decoder.layers) + " kinds, one a layer");
  for (int64_t i = 0; i < decoder.layers; ++i) {
    const bool is_sliding = has_types ? types[i] == "sliding_attention" : is_windowed(i);
    if (has_types && !is_sliding && types[i] != "full_attention")
      config.unsupported("layer_types", "\"" + types[i] + "\"");
    if (is_sliding && !window)
      config.fail("sliding_window", "a window for the layers of sliding_attention");
    if (is_sliding) decoder.windows[i] = window;
  }
}

void read_layer_windows(const Config& config, DecoderConfig& decoder) {
  std::optional<int64_t> window;
  if (config.boolean_or("use_sliding_window", false)) {
    const bool absent = !config.json().contains("sliding_window");
    if (absent || config.has("sliding_window")) window = config.integer_or("sliding_window", 4096);
  }
  if (!config.has("layer_types")) {
    for (int64_t i = config.integer_or("max_window_layers", 28, 0); i < decoder.layers; ++i)
      decoder.windows[i] = window;
    return;
  }
  const auto types = config.texts("layer_types");
  if (types.size() != decoder.windows.size())
    config.fail("layer_types",
                "a list of " + std::to_string(decoder.layers) + " kinds, one a layer");
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] == "full_attention") continue;
    if (types[i] != "sliding_attention") config.unsupported("layer_types", "\"" + types[i] + "\"");
    if (!window)
      config.fail("sliding_window",
                  "a window (with use_sliding_window) for the layers of sliding_attention");
    decoder.windows[i] = window;
  }
}

}  // namespace laconic::model
