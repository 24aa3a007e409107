#include "laconic/model/architectures.h"

#include <vector>

#include "laconic/base/text.h"

namespace laconic::model {
namespace {

constexpr const char* kFrequencies = "re:.*\\.rotary_emb\\.inv_freq";
constexpr const char* kExperts = " num_experts num_local_experts ";

constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", "model.", make_llama, kFrequencies},
    {"MistralForCausalLM", "model.", make_mistral, kFrequencies},
    {"Qwen2ForCausalLM", "model.", make_qwen2, kFrequencies},
    {"Qwen3ForCausalLM", "model.", make_qwen3, kFrequencies},
    {"Phi3ForCausalLM", "model.", make_phi3, kFrequencies},
    {"Gemma2ForCausalLM", "model.", make_gemma2, kFrequencies,
     " query_pre_attn_scalar attn_logit_softcapping final_logit_softcapping "},
    {"Gemma3ForCausalLM", "model.", make_gemma3, kFrequencies,
     " query_pre_attn_scalar final_logit_softcapping sliding_window_pattern "},
    {"MixtralForCausalLM", "model.", make_mixtral, kFrequencies, kExperts},
    {"Qwen2MoeForCausalLM", "model.", make_qwen2_moe, kFrequencies, kExperts},
    {"Qwen3MoeForCausalLM", "model.", make_qwen3_moe, kFrequencies, kExperts},
    {"GPT2LMHeadModel", "transformer.", make_gpt2, "re:.*\\.attn\\.(bias|masked_bias)"},
    {"GPTNeoXForCausalLM", "gpt_neox.", make_gpt_neox,
     "re:.*\\.attention\\.(bias|masked_bias|rotary_emb\\.inv_freq)"},
    {"OPTForCausalLM", "model.", make_opt, ""},
};

struct Neutral {
  const char* key;
  nlohmann::json value;
};

/// Fields of kindred architectures that change the function; each must be absent, null or neutral.
void refuse_features(const Config& config, const std::string& features) {
  if (config.has("quantization_config"))
    config.unsupported("quantization_config", "a checkpoint that is quantized already");
  const Neutral neutrals[] = {
      {"num_experts", 0},
      {"num_local_experts", 0},
      {"n_routed_experts", 0},
      {"alibi", false},
      {"use_alibi", false},
      {"attn_logit_softcapping", nullptr},
      {"query_pre_attn_scalar", nullptr},
      {"use_qk_norm", false},
      {"qk_layernorm", false},
      {"no_rope_layers", nullptr},
      {"no_rope_layer_interval", nullptr},
      {"sliding_window_pattern", nullptr},
      {"attention_chunk_size", nullptr},
      {"final_logit_softcapping", nullptr},
      {"attention_multiplier", nullptr},
      {"embedding_multiplier", 1.0},
      {"residual_multiplier", 1.0},
      {"logits_scaling", 1.0},
      {"logit_scale", 1.0},
      {"clip_qkv", nullptr},
      {"use_mrope", false},
      {"add_cross_attention", false},
      {"is_encoder_decoder", false},
      {"scale_embedding", false},
      {"use_bidirectional_attention", false},
  };
  for (const Neutral& neutral : neutrals) {
    if (features.find(" " + std::string(neutral.key) + " ") != std::string::npos) continue;
    const bool zero_or_one =
        neutral.value == 0 && config.has(neutral.key) && config.json().at(neutral.key) == 1;
    if (!zero_or_one) config.require_neutral(neutral.key, neutral.value);
  }
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture& find_architecture(const Config& config) {
  const auto names = config.texts("architectures");
  std::vector<std::string> known;
  for (const Architecture& row : kArchitectures) known.emplace_back(row.name);
  if (names.size() != 1) config.fail("architectures", "one of {" + join(known, ", ") + "}");
  for (const Architecture& row : kArchitectures) {
    if (names[0] != row.name) continue;
    refuse_features(config, row.features);
    return row;
  }
  config.fail("architectures", "one of {" + join(known, ", ") + "}");
}

}  // namespace laconic::model
