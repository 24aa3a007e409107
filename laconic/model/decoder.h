#pragma once

#include <cstdint>
#include <functional>
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

/// Mixture of experts in place of the MLP (Shazeer et al. 2017, arXiv:1701.06538).
struct Mixture {
  int64_t experts = 0, chosen = 0, intermediate = 0;
  int64_t shared = 0;       ///< features of an expert that sees every token, behind a gate; 0: none
  bool normalizes = false;  ///< shares of the chosen experts add up to 1
  const char* module = "mlp";
  const char *gate = "gate_proj", *up = "up_proj", *down = "down_proj";
  std::vector<bool> layers;  ///< which ones have it
};

/// What tells the pre-norm decoders with rotary embeddings and gated MLPs apart (Llama and its
/// kin).
struct DecoderConfig {
  int64_t vocabulary = 0, hidden = 0, intermediate = 0, layers = 0;
  int64_t heads = 0, groups = 0, head_dim = 0, maximum_length = 0;
  double epsilon = 0;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool normalizes_heads = false;  ///< RMS norm of each query and key head
  bool tied = false;
  bool is_fused = false;       ///< one linear layer for q, k and v, one for gate and up (Phi-3)
  bool norms_outputs = false;  ///< norms after attention and MLP as well as before (Gemma)
  NormGain gain = NormGain::kWeight;
  double attention_scale = 0;  ///< of q k^T
  double embedding_scale = 1;
  std::optional<double> attention_cap, logit_cap;  ///< c tanh(x / c) of scores, of logits
  Activation activation = nullptr;
  Rope rope;
  std::optional<Rope> window_rope;              ///< of layers with a window; none: the same
  std::vector<std::optional<int64_t>> windows;  ///< of each layer; none: full attention
  std::optional<Mixture> mixture;               ///< of experts
};

/// The fields that all of them have; windows are full. `groups` / `head_dim`: what absent fields
/// mean.
struct DecoderDefaults {
  std::optional<int64_t> groups = std::nullopt;    ///< num_key_value_heads; none: as many as heads
  std::optional<int64_t> head_dim = std::nullopt;  ///< none: hidden_size / num_attention_heads
  bool tied = false;
  const char* activation = "hidden_act";
  RopeDefaults rope = {};  ///< head_dim is filled in
};
DecoderConfig read_decoder(const Config& config, const DecoderDefaults& defaults = {});

/// Windows by "use_sliding_window", "sliding_window", "max_window_layers" and "layer_types" (Qwen).
void read_layer_windows(const Config& config, DecoderConfig& decoder);

/// Windows of "sliding_window" for the layers that "layer_types" says; when it is absent, for those
/// that `is_windowed(layer)` says.
void read_window_pattern(const Config& config, DecoderConfig& decoder, int64_t default_window,
                         const std::function<bool(int64_t)>& is_windowed);

/// Refuses "layer_types" with another kind than this one, for architectures whose layers are alike.
void require_layer_types(const Config& config, const std::string& kind);

std::shared_ptr<LanguageModule> make_decoder(const DecoderConfig& config, const Options& options);

}  // namespace laconic::model
