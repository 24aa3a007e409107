#include "laconic/model/decoder.h"

#include <cmath>

#include "laconic/graph/trace.h"

namespace laconic::model {
namespace {

using graph::ModuleScope;

class Attention : public torch::nn::Module {
 public:
  Attention(const DecoderConfig& config, int64_t layer, const Options& options) : config_(config) {
    const int64_t inner = config.heads * config.head_dim, shared = config.groups * config.head_dim;
    q_proj = register_module(
        "q_proj", std::make_shared<Linear>(config.hidden, inner, config.qkv_bias, options));
    k_proj = register_module(
        "k_proj", std::make_shared<Linear>(config.hidden, shared, config.qkv_bias, options));
    v_proj = register_module(
        "v_proj", std::make_shared<Linear>(config.hidden, shared, config.qkv_bias, options));
    o_proj = register_module(
        "o_proj", std::make_shared<Linear>(inner, config.hidden, config.output_bias, options));
    if (config.normalizes_heads) {
      q_norm = register_module("q_norm",
                               std::make_shared<RmsNorm>(config.head_dim, config.epsilon, options));
      k_norm = register_module("k_norm",
                               std::make_shared<RmsNorm>(config.head_dim, config.epsilon, options));
    }
    window_ = config.windows.at(layer);
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    const auto q = heads(q_proj->forward(x), config_.heads, q_norm);
    const auto k = heads(k_proj->forward(x), config_.groups, k_norm);
    const auto v = heads(v_proj->forward(x), config_.groups, nullptr);
    const double scale = 1.0 / std::sqrt(static_cast<double>(config_.head_dim));
    const auto mixed =
        graph::attention(turn(config_.rope, q), turn(config_.rope, k), v, scale, window_);
    return o_proj->forward(mixed.transpose(1, 2).flatten(2));
  }

 private:
  at::Tensor heads(const at::Tensor& x, int64_t count, const std::shared_ptr<RmsNorm>& norm) const {
    const auto split = x.unflatten(-1, {count, config_.head_dim});
    return (norm ? norm->forward(split) : split).transpose(1, 2);
  }

  const DecoderConfig& config_;
  std::optional<int64_t> window_;
  std::shared_ptr<Linear> q_proj, k_proj, v_proj, o_proj;
  std::shared_ptr<RmsNorm> q_norm, k_norm;
};

class GatedMlp : public torch::nn::Module {
 public:
  GatedMlp(const DecoderConfig& config, const Options& options) : activation_(config.activation) {
    const int64_t hidden = config.hidden, inner = config.intermediate;
    gate_proj = register_module("gate_proj",
                                std::make_shared<Linear>(hidden, inner, config.mlp_bias, options));
    up_proj = register_module("up_proj",
                              std::make_shared<Linear>(hidden, inner, config.mlp_bias, options));
    down_proj = register_module("down_proj",
                                std::make_shared<Linear>(inner, hidden, config.mlp_bias, options));
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    return down_proj->forward(activation_(gate_proj->forward(x)) * up_proj->forward(x));
  }

 private:
  Activation activation_;
  std::shared_ptr<Linear> gate_proj, up_proj, down_proj;
};

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(const DecoderConfig& config, int64_t layer, const Options& options) {
    const auto norm = [&] {
      return std::make_shared<RmsNorm>(config.hidden, config.epsilon, options);
    };
    input_layernorm = register_module("input_layernorm", norm());
    self_attn = register_module("self_attn", std::make_shared<Attention>(config, layer, options));
    post_attention_layernorm = register_module("post_attention_layernorm", norm());
    mlp = register_module("mlp", std::make_shared<GatedMlp>(config, options));
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    const auto mixed = x + self_attn->forward(input_layernorm->forward(x));
    return mixed + mlp->forward(post_attention_layernorm->forward(mixed));
  }

 private:
  std::shared_ptr<RmsNorm> input_layernorm, post_attention_layernorm;
  std::shared_ptr<Attention> self_attn;
  std::shared_ptr<GatedMlp> mlp;
};

class DecoderBody : public torch::nn::Module {
 public:
  DecoderBody(const DecoderConfig& config, const Options& options) {
    embed_tokens = register_module(
        "embed_tokens", std::make_shared<Embedding>(config.vocabulary, config.hidden, options));
    auto list = std::make_shared<torch::nn::Module>();
    for (int64_t i = 0; i < config.layers; ++i)
      layers.push_back(list->register_module(std::to_string(i),
                                             std::make_shared<DecoderLayer>(config, i, options)));
    register_module("layers", list);
    norm =
        register_module("norm", std::make_shared<RmsNorm>(config.hidden, config.epsilon, options));
  }

  at::Tensor forward(const at::Tensor& ids) {
    const ModuleScope scope(*this);
    auto x = embed_tokens->forward(ids);
    for (const auto& layer : layers) x = layer->forward(x);
    return norm->forward(x);
  }

  std::shared_ptr<Embedding> embed_tokens;

 private:
  std::vector<std::shared_ptr<DecoderLayer>> layers;
  std::shared_ptr<RmsNorm> norm;
};

class Decoder : public LanguageModule {
 public:
  Decoder(const DecoderConfig& config, const Options& options) : config_(config) {
    vocabulary_size = config.vocabulary;
    maximum_length = config.maximum_length;
    model = register_module("model", std::make_shared<DecoderBody>(config_, options));
    lm_head = register_module(
        "lm_head",
        config.tied ? std::make_shared<Linear>(model->embed_tokens->weight)
                    : std::make_shared<Linear>(config.hidden, config.vocabulary, false, options));
  }

  at::Tensor forward(const at::Tensor& ids) override {
    const ModuleScope scope(*this);
    return lm_head->forward(model->forward(ids));
  }

 private:
  DecoderConfig config_;  // layers refer to it
  std::shared_ptr<DecoderBody> model;
  std::shared_ptr<Linear> lm_head;
};

}  // namespace

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
  result.activation = read_activation(config, "hidden_act");
  result.tied = config.boolean_or("tie_word_embeddings", false);
  config.require_neutral("partial_rotary_factor", 1.0);
  config.require_neutral("use_parallel_residual", false);
  result.rope = read_rope(
      config, {.head_dim = result.head_dim, .theta = config.number_or("rope_theta", 10000.0)});
  result.windows.assign(result.layers, std::nullopt);
  return result;
}

void require_layer_types(const Config& config, const std::string& kind) {
  if (!config.has("layer_types")) return;
  for (const std::string& type : config.texts("layer_types"))
    if (type != kind) config.unsupported("layer_types", "another kind than \"" + kind + "\"");
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

std::shared_ptr<LanguageModule> make_decoder(const DecoderConfig& config, const Options& options) {
  return std::make_shared<Decoder>(config, options);
}

}  // namespace laconic::model
