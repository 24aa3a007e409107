#include <cmath>

#include "laconic/graph/operators.h"
#include "laconic/graph/trace.h"
#include "laconic/model/activation.h"
#include "laconic/model/architectures.h"
#include "laconic/model/language_module.h"
#include "laconic/model/layers.h"
#include "laconic/model/rope.h"

namespace laconic::model {
namespace {

using graph::ModuleScope;

struct NeoxConfig {
  int64_t vocabulary = 0, hidden = 0, intermediate = 0, layers = 0, heads = 0, maximum_length = 0;
  double epsilon = 0;
  bool attention_bias = true, is_parallel = true, tied = false;
  Activation activation = nullptr;
  Rope rope;
};

class Attention : public torch::nn::Module {
 public:
  Attention(const NeoxConfig& config, const Options& options)
      : rope_(config.rope), heads_(config.heads), head_dim_(config.hidden / config.heads) {
    const int64_t hidden = config.hidden;
    const bool bias = config.attention_bias;
    query_key_value = register_module("query_key_value",
                                      std::make_shared<Linear>(hidden, 3 * hidden, bias, options));
    dense = register_module("dense", std::make_shared<Linear>(hidden, hidden, bias, options));
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    // Rows are stored head by head, each with its query, key and value.
    const auto qkv = query_key_value->forward(x).unflatten(-1, {heads_, 3, head_dim_});
    const auto part = [&](int64_t i) { return qkv.select(-2, i).transpose(1, 2); };
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim_));
    const auto mixed = graph::attention(turn(rope_, part(0)), turn(rope_, part(1)), part(2), scale);
    return dense->forward(mixed.transpose(1, 2).flatten(2));
  }

 private:
  Rope rope_;
  int64_t heads_, head_dim_;
  std::shared_ptr<Linear> query_key_value, dense;
};

class Mlp : public torch::nn::Module {
 public:
  Mlp(const NeoxConfig& config, const Options& options) : activation_(config.activation) {
    const int64_t hidden = config.hidden, inner = config.intermediate;
    dense_h_to_4h =
        register_module("dense_h_to_4h", std::make_shared<Linear>(hidden, inner, true, options));
    dense_4h_to_h =
        register_module("dense_4h_to_h", std::make_shared<Linear>(inner, hidden, true, options));
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    return dense_4h_to_h->forward(activation_(dense_h_to_4h->forward(x)));
  }

 private:
  Activation activation_;
  std::shared_ptr<Linear> dense_h_to_4h, dense_4h_to_h;
};

class Layer : public torch::nn::Module {
 public:
  Layer(const NeoxConfig& config, const Options& options) : is_parallel_(config.is_parallel) {
    const auto norm = [&] {
      return std::make_shared<LayerNorm>(config.hidden, config.epsilon, true, options);
    };
    input_layernorm = register_module("input_layernorm", norm());
    post_attention_layernorm = register_module("post_attention_layernorm", norm());
    attention = register_module("attention", std::make_shared<Attention>(config, options));
    mlp = register_module("mlp", std::make_shared<Mlp>(config, options));
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    const auto mixed = attention->forward(input_layernorm->forward(x));
    if (is_parallel_) return mlp->forward(post_attention_layernorm->forward(x)) + mixed + x;
    const auto sum = mixed + x;
    return mlp->forward(post_attention_layernorm->forward(sum)) + sum;
  }

 private:
  bool is_parallel_;
  std::shared_ptr<LayerNorm> input_layernorm, post_attention_layernorm;
  std::shared_ptr<Attention> attention;
  std::shared_ptr<Mlp> mlp;
};

class Body : public torch::nn::Module {
 public:
  Body(const NeoxConfig& config, const Options& options) {
    embed_in = register_module(
        "embed_in", std::make_shared<Embedding>(config.vocabulary, config.hidden, options));
    auto list = std::make_shared<torch::nn::Module>();
    for (int64_t i = 0; i < config.layers; ++i)
      layers.push_back(
          list->register_module(std::to_string(i), std::make_shared<Layer>(config, options)));
    register_module("layers", list);
    final_layer_norm =
        register_module("final_layer_norm",
                        std::make_shared<LayerNorm>(config.hidden, config.epsilon, true, options));
  }

  at::Tensor forward(const at::Tensor& ids) {
    const ModuleScope scope(*this);
    auto x = embed_in->forward(ids);
    for (const auto& layer : layers) x = layer->forward(x);
    return final_layer_norm->forward(x);
  }

  std::shared_ptr<Embedding> embed_in;

 private:
  std::vector<std::shared_ptr<Layer>> layers;
  std::shared_ptr<LayerNorm> final_layer_norm;
};

class GptNeox : public LanguageModule {
 public:
  GptNeox(const NeoxConfig& config, const Options& options) {
    vocabulary_size = config.vocabulary;
    maximum_length = config.maximum_length;
    gpt_neox = register_module("gpt_neox", std::make_shared<Body>(config, options));
    // Checkpoints of this architecture call the head embed_out.
    embed_out = register_module(
        "embed_out",
        config.tied ? std::make_shared<Linear>(gpt_neox->embed_in->weight)
                    : std::make_shared<Linear>(config.hidden, config.vocabulary, false, options));
  }

  at::Tensor forward(const at::Tensor& ids) override {
    const ModuleScope scope(*this);
    return embed_out->forward(gpt_neox->forward(ids));
  }

 private:
  std::shared_ptr<Body> gpt_neox;
  std::shared_ptr<Linear> embed_out;
};

}  // namespace

/// Black et al. 2022, arXiv:2204.06745; Pythia.
std::shared_ptr<LanguageModule> make_gpt_neox(const Config& config, const Options& options) {
  NeoxConfig neox;
  neox.vocabulary = config.integer("vocab_size");
  neox.hidden = config.integer("hidden_size");
  neox.intermediate = config.integer("intermediate_size");
  neox.layers = config.integer("num_hidden_layers", 1, Config::kMostLayers);
  neox.heads = config.integer("num_attention_heads");
  neox.maximum_length = config.integer("max_position_embeddings");
  if (neox.hidden % neox.heads != 0)
    config.fail("num_attention_heads", "a divisor of hidden_size, " + std::to_string(neox.hidden));
  neox.epsilon = config.positive("layer_norm_eps");
  neox.activation = read_activation(config, "hidden_act");
  neox.attention_bias = config.boolean_or("attention_bias", true);
  neox.is_parallel = config.boolean_or("use_parallel_residual", true);
  neox.tied = config.boolean_or("tie_word_embeddings", false);
  neox.rope = read_rope(config, {.head_dim = neox.hidden / neox.heads,
                                 .theta = config.number_or("rotary_emb_base", 10000.0),
                                 .partial_factor = config.number_or("rotary_pct", 0.25)});
  return std::make_shared<GptNeox>(neox, options);
}

}  // namespace laconic::model
