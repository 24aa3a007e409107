#include "laconic/model/decoder.h"

#include "laconic/graph/trace.h"
#include "laconic/model/decoder_parts.h"

namespace laconic::model {
namespace {

using graph::ModuleScope;

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(const DecoderConfig& config, int64_t layer, const Options& options) {
    const auto norm = [&](const char* name) {
      return register_module(
          name, std::make_shared<RmsNorm>(config.hidden, config.epsilon, options, config.gain));
    };
    attention_norm_ = norm("input_layernorm");
    attention_ =
        register_module("self_attn", std::make_shared<DecoderAttention>(config, layer, options));
    if (config.norms_outputs) {
      after_attention_ = norm("post_attention_layernorm");
      mlp_norm_ = norm("pre_feedforward_layernorm");
      after_mlp_ = norm("post_feedforward_layernorm");
    } else {
      mlp_norm_ = norm("post_attention_layernorm");
    }
    const bool is_mixture = config.mixture && config.mixture->layers.at(layer);
    if (is_mixture) {
      mlp_ = make_mixture(config, options);
    } else if (config.is_fused) {
      mlp_ = make_fused_mlp(config, options);
    } else {
      mlp_ = make_gated_mlp({.intermediate = config.intermediate}, config, options);
    }
    register_module(is_mixture ? config.mixture->module : "mlp", mlp_);
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    const auto mixed = attention_->forward(attention_norm_->forward(x));
    const auto sum = x + (after_attention_ ? after_attention_->forward(mixed) : mixed);
    const auto grown = mlp_->forward(mlp_norm_->forward(sum));
    return sum + (after_mlp_ ? after_mlp_->forward(grown) : grown);
  }

 private:
  std::shared_ptr<RmsNorm> attention_norm_, after_attention_, mlp_norm_, after_mlp_;
  std::shared_ptr<DecoderAttention> attention_;
  std::shared_ptr<FeedForward> mlp_;
};

class DecoderBody : public torch::nn::Module {
 public:
  DecoderBody(const DecoderConfig& config, const Options& options)
      : embedding_scale_(config.embedding_scale) {
    embed_tokens = register_module(
        "embed_tokens", std::make_shared<Embedding>(config.vocabulary, config.hidden, options));
    auto list = std::make_shared<torch::nn::Module>();
    for (int64_t i = 0; i < config.layers; ++i)
      layers.push_back(list->register_module(std::to_string(i),
                                             std::make_shared<DecoderLayer>(config, i, options)));
    register_module("layers", list);
    norm = register_module(
        "norm", std::make_shared<RmsNorm>(config.hidden, config.epsilon, options, config.gain));
  }

  at::Tensor forward(const at::Tensor& ids) {
    const ModuleScope scope(*this);
    auto x = embed_tokens->forward(ids);
    if (embedding_scale_ != 1) x = x * embedding_scale_;
    for (const auto& layer : layers) x = layer->forward(x);
    return norm->forward(x);
  }

  std::shared_ptr<Embedding> embed_tokens;

 private:
  std::vector<std::shared_ptr<DecoderLayer>> layers;
  std::shared_ptr<RmsNorm> norm;
  double embedding_scale_;
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
    const auto logits = lm_head->forward(model->forward(ids));
    if (!config_.logit_cap) return logits;
    return (logits / *config_.logit_cap).tanh() * *config_.logit_cap;
  }

 private:
  DecoderConfig config_;  // layers refer to it
  std::shared_ptr<DecoderBody> model;
  std::shared_ptr<Linear> lm_head;
};

}  // namespace

std::shared_ptr<LanguageModule> make_decoder(const DecoderConfig& config, const Options& options) {
  return std::make_shared<Decoder>(config, options);
}

}  // namespace laconic::model
