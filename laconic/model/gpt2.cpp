#include <cmath>

#include "laconic/graph/operators.h"
#include "laconic/graph/trace.h"
#include "laconic/model/activation.h"
#include "laconic/model/architectures.h"
#include "laconic/model/language_module.h"
#include "laconic/model/layers.h"

namespace laconic::model {
namespace {

using graph::ModuleScope;

struct Gpt2Config {
  int64_t vocabulary = 0, hidden = 0, inner = 0, layers = 0, heads = 0, maximum_length = 0;
  double epsilon = 0;
  bool scales = true, scales_by_layer = false, tied = true;
  Activation activation = nullptr;
};

class Attention : public torch::nn::Module {
 public:
  Attention(const Gpt2Config& config, int64_t layer, const Options& options)
      : heads_(config.heads), head_dim_(config.hidden / config.heads) {
    c_attn = register_module("c_attn",
                             std::make_shared<Conv1D>(config.hidden, 3 * config.hidden, options));
    c_proj =
        register_module("c_proj", std::make_shared<Conv1D>(config.hidden, config.hidden, options));
    if (config.scales) scale_ = 1.0 / std::sqrt(static_cast<double>(head_dim_));
    if (config.scales_by_layer) scale_ /= static_cast<double>(layer + 1);
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    const auto qkv = c_attn->forward(x).unflatten(-1, {3, heads_, head_dim_});
    const auto part = [&](int64_t i) { return qkv.select(-3, i).transpose(1, 2); };
    const auto mixed = graph::attention(part(0), part(1), part(2), scale_);
    return c_proj->forward(mixed.transpose(1, 2).flatten(2));
  }

 private:
  int64_t heads_, head_dim_;
  double scale_ = 1.0;
  std::shared_ptr<Conv1D> c_attn, c_proj;
};

class Mlp : public torch::nn::Module {
 public:
  Mlp(const Gpt2Config& config, const Options& options) : activation_(config.activation) {
    c_fc = register_module("c_fc", std::make_shared<Conv1D>(config.hidden, config.inner, options));
    c_proj =
        register_module("c_proj", std::make_shared<Conv1D>(config.inner, config.hidden, options));
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    return c_proj->forward(activation_(c_fc->forward(x)));
  }

 private:
  Activation activation_;
  std::shared_ptr<Conv1D> c_fc, c_proj;
};

class Layer : public torch::nn::Module {
 public:
  Layer(const Gpt2Config& config, int64_t layer, const Options& options) {
    const auto norm = [&] {
      return std::make_shared<LayerNorm>(config.hidden, config.epsilon, true, options);
    };
    ln_1 = register_module("ln_1", norm());
    attn = register_module("attn", std::make_shared<Attention>(config, layer, options));
    ln_2 = register_module("ln_2", norm());
    mlp = register_module("mlp", std::make_shared<Mlp>(config, options));
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    const auto mixed = attn->forward(ln_1->forward(x)) + x;
    return mixed + mlp->forward(ln_2->forward(mixed));
  }

 private:
  std::shared_ptr<LayerNorm> ln_1, ln_2;
  std::shared_ptr<Attention> attn;
  std::shared_ptr<Mlp> mlp;
};

class Body : public torch::nn::Module {
 public:
  Body(const Gpt2Config& config, const Options& options) {
    wte = register_module("wte",
                          std::make_shared<Embedding>(config.vocabulary, config.hidden, options));
    wpe = register_module(
        "wpe", std::make_shared<Embedding>(config.maximum_length, config.hidden, options));
    auto list = std::make_shared<torch::nn::Module>();
    for (int64_t i = 0; i < config.layers; ++i)
      layers.push_back(
          list->register_module(std::to_string(i), std::make_shared<Layer>(config, i, options)));
    register_module("h", list);
    ln_f = register_module(
        "ln_f", std::make_shared<LayerNorm>(config.hidden, config.epsilon, true, options));
  }

  at::Tensor forward(const at::Tensor& ids) {
    const ModuleScope scope(*this);
    auto x = wte->forward(ids) + wpe->forward(graph::positions(ids));
    for (const auto& layer : layers) x = layer->forward(x);
    return ln_f->forward(x);
  }

  std::shared_ptr<Embedding> wte, wpe;

 private:
  std::vector<std::shared_ptr<Layer>> layers;
  std::shared_ptr<LayerNorm> ln_f;
};

class Gpt2 : public LanguageModule {
 public:
  Gpt2(const Gpt2Config& config, const Options& options) {
    vocabulary_size = config.vocabulary;
    maximum_length = config.maximum_length;
    transformer = register_module("transformer", std::make_shared<Body>(config, options));
    lm_head = register_module(
        "lm_head",
        config.tied ? std::make_shared<Linear>(transformer->wte->weight)
                    : std::make_shared<Linear>(config.hidden, config.vocabulary, false, options));
  }

  at::Tensor forward(const at::Tensor& ids) override {
    const ModuleScope scope(*this);
    return lm_head->forward(transformer->forward(ids));
  }

 private:
  std::shared_ptr<Body> transformer;
  std::shared_ptr<Linear> lm_head;
};

}  // namespace

/// Radford et al. 2019. Linear layers are stored [in, out]; the head is tied unless the
/// configuration denies it.
std::shared_ptr<LanguageModule> make_gpt2(const Config& config, const Options& options) {
  // The reference takes the names of other architectures for these fields, too.
  const auto key = [&](const char* own, const char* common) {
    return config.has(own) || !config.has(common) ? own : common;
  };
  Gpt2Config gpt2;
  gpt2.vocabulary = config.integer("vocab_size");
  gpt2.hidden = config.integer(key("n_embd", "hidden_size"));
  gpt2.layers = config.integer(key("n_layer", "num_hidden_layers"), 1, Config::kMostLayers);
  gpt2.heads = config.integer(key("n_head", "num_attention_heads"));
  gpt2.maximum_length = config.integer(key("n_positions", "max_position_embeddings"));
  if (gpt2.hidden % gpt2.heads != 0)
    config.fail(key("n_head", "num_attention_heads"),
                "a divisor of n_embd, " + std::to_string(gpt2.hidden));
  gpt2.inner = config.integer_or("n_inner", 4 * gpt2.hidden);
  gpt2.epsilon = config.positive("layer_norm_epsilon");
  gpt2.activation = read_activation(config, "activation_function");
  gpt2.scales = config.boolean_or("scale_attn_weights", true);
  gpt2.scales_by_layer = config.boolean_or("scale_attn_by_inverse_layer_idx", false);
  gpt2.tied = config.boolean_or("tie_word_embeddings", true);
  return std::make_shared<Gpt2>(gpt2, options);
}

}  // namespace laconic::model
