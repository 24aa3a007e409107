#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "laconic/model/activation.h"
#include "laconic/model/config.h"
#include "laconic/model/language_module.h"
#include "laconic/model/layers.h"
#include "laconic/model/rope.h"

namespace laconic::model {

/// What tells the pre-norm decoders with rotary embeddings and gated MLPs apart (Llama and its
/// kin).
struct DecoderConfig {
  int64_t vocabulary = 0, hidden = 0, intermediate = 0, layers = 0;
  int64_t heads = 0, groups = 0, head_dim = 0, maximum_length = 0;
  double epsilon = 0;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool normalizes_heads = false;  ///< RMS norm of each query and key head
  bool tied = false;
  Activation activation = nullptr;
  Rope rope;
  std::vector<std::optional<int64_t>> windows;  ///< of each layer; none: full attention
};

/// The fields that all of them have; windows are full. `groups` / `head_dim`: what absent fields
/// mean.
struct DecoderDefaults {
  std::optional<int64_t> groups;    ///< num_key_value_heads; none: as many as heads
  std::optional<int64_t> head_dim;  ///< none: hidden_size / num_attention_heads
};
DecoderConfig read_decoder(const Config& config, const DecoderDefaults& defaults = {});

/// Windows by "use_sliding_window", "sliding_window", "max_window_layers" and "layer_types" (Qwen).
void read_layer_windows(const Config& config, DecoderConfig& decoder);

/// Refuses "layer_types" with another kind than this one, for architectures whose layers are alike.
void require_layer_types(const Config& config, const std::string& kind);

std::shared_ptr<LanguageModule> make_decoder(const DecoderConfig& config, const Options& options);

}  // namespace laconic::model
