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

struct OptConfig {
  int64_t vocabulary = 0, hidden = 0, embedding = 0, inner = 0, layers = 0, heads = 0,
          maximum_length = 0;
  bool norms_before = true, has_final_norm = true, bias = true, affine = true, tied = true;
  Activation activation = nullptr;
};

constexpr double kEpsilon = 1e-5;
constexpr int64_t kPositionOffset = 2;  // the first two rows of the table are of padding

class Attention : public torch::nn::Module {
 public:
  Attention(const OptConfig& config, const Options& options)
      : heads_(config.heads), head_dim_(config.hidden / config.heads) {
    const auto linear = [&] {
      return std::make_shared<Linear>(config.hidden, config.hidden, config.bias, options);
    };
    k_proj = register_module("k_proj", linear());
    v_proj = register_module("v_proj", linear());
    q_proj = register_module("q_proj", linear());
    out_proj = register_module("out_proj", linear());
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    const auto heads = [&](const at::Tensor& y) {
      return y.unflatten(-1, {heads_, head_dim_}).transpose(1, 2);
    };
    const auto q = heads(q_proj->forward(x)), k = heads(k_proj->forward(x)),
               v = heads(v_proj->forward(x));
    const auto mixed = graph::attention(q, k, v, 1.0 / std::sqrt(static_cast<double>(head_dim_)));
    return out_proj->forward(mixed.transpose(1, 2).flatten(2));
  }

 private:
  int64_t heads_, head_dim_;
  std::shared_ptr<Linear> k_proj, v_proj, q_proj, out_proj;
};

class Layer : public torch::nn::Module {
 public:
  Layer(const OptConfig& config, const Options& options)
      : norms_before_(config.norms_before), activation_(config.activation) {
    const auto norm = [&] {
      return std::make_shared<LayerNorm>(config.hidden, kEpsilon, config.affine, options);
    };
    self_attn = register_module("self_attn", std::make_shared<Attention>(config, options));
    self_attn_layer_norm = register_module("self_attn_layer_norm", norm());
    fc1 = register_module(
        "fc1", std::make_shared<Linear>(config.hidden, config.inner, config.bias, options));
    fc2 = register_module(
        "fc2", std::make_shared<Linear>(config.inner, config.hidden, config.bias, options));
    final_layer_norm = register_module("final_layer_norm", norm());
  }

  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    const auto mlp = [&](const at::Tensor& y) {
      return fc2->forward(activation_(fc1->forward(y)));
    };
    if (norms_before_) {
      const auto sum = x + self_attn->forward(self_attn_layer_norm->forward(x));
      return sum + mlp(final_layer_norm->forward(sum));
    }
    const auto sum = self_attn_layer_norm->forward(x + self_attn->forward(x));
    return final_layer_norm->forward(sum + mlp(sum));
  }

 private:
  bool norms_before_;
  Activation activation_;
  std::shared_ptr<Attention> self_attn;
  std::shared_ptr<LayerNorm> self_attn_layer_norm, final_layer_norm;
  std::shared_ptr<Linear> fc1, fc2;
};

class OptDecoder : public torch::nn::Module {
 public:
  OptDecoder(const OptConfig& config, const Options& options) {
    embed_tokens = register_module(
        "embed_tokens", std::make_shared<Embedding>(config.vocabulary, config.embedding, options));
    embed_positions = register_module(
        "embed_positions", std::make_shared<Embedding>(config.maximum_length + kPositionOffset,
                                                       config.hidden, options));
    if (config.embedding != config.hidden) {
      project_out = register_module(
          "project_out", std::make_shared<Linear>(config.hidden, config.embedding, false, options));
      project_in = register_module(
          "project_in", std::make_shared<Linear>(config.embedding, config.hidden, false, options));
    }
    if (config.has_final_norm)
      final_layer_norm = register_module(
          "final_layer_norm",
          std::make_shared<LayerNorm>(config.hidden, kEpsilon, config.affine, options));
    auto list = std::make_shared<torch::nn::Module>();
    for (int64_t i = 0; i < config.layers; ++i)
      layers.push_back(
          list->register_module(std::to_string(i), std::make_shared<Layer>(config, options)));
    register_module("layers", list);
  }

  at::Tensor forward(const at::Tensor& ids) {
    const ModuleScope scope(*this);
    auto x = embed_tokens->forward(ids);
    if (project_in) x = project_in->forward(x);
    x = x + embed_positions->forward(graph::positions(ids, kPositionOffset));
    for (const auto& layer : layers) x = layer->forward(x);
    if (final_layer_norm) x = final_layer_norm->forward(x);
    return project_out ? project_out->forward(x) : x;
  }

  std::shared_ptr<Embedding> embed_tokens;

 private:
  std::shared_ptr<Embedding> embed_positions;
  std::shared_ptr<Linear> project_in, project_out;
  std::shared_ptr<LayerNorm> final_layer_norm;
  std::vector<std::shared_ptr<Layer>> layers;
};

class OptBody : public torch::nn::Module {
 public:
  OptBody(const OptConfig& config, const Options& options) {
    decoder = register_module("decoder", std::make_shared<OptDecoder>(config, options));
  }
  at::Tensor forward(const at::Tensor& ids) {
    const ModuleScope scope(*this);
    return decoder->forward(ids);
  }
  std::shared_ptr<OptDecoder> decoder;
};

class Opt : public LanguageModule {
 public:
  Opt(const OptConfig& config, const Options& options) {
    vocabulary_size = config.vocabulary;
    maximum_length = config.maximum_length;
    model = register_module("model", std::make_shared<OptBody>(config, options));
    lm_head = register_module(
        "lm_head", config.tied ? std::make_shared<Linear>(model->decoder->embed_tokens->weight)
                               : std::make_shared<Linear>(config.embedding, config.vocabulary,
                                                          false, options));
  }

  at::Tensor forward(const at::Tensor& ids) override {
    const ModuleScope scope(*this);
    return lm_head->forward(model->forward(ids));
  }

 private:
  std::shared_ptr<OptBody> model;
  std::shared_ptr<Linear> lm_head;
};

}  // namespace

/// Zhang et al. 2022, arXiv:2205.01068. The 350m model has norms after the sums and a narrower
/// embedding.
std::shared_ptr<LanguageModule> make_opt(const Config& config, const Options& options) {
  OptConfig opt;
  opt.vocabulary = config.integer("vocab_size");
  opt.hidden = config.integer("hidden_size");
  opt.embedding = config.integer_or("word_embed_proj_dim", opt.hidden);
  opt.inner = config.integer("ffn_dim");
  opt.layers = config.integer("num_hidden_layers", 1, Config::kMostLayers);
  opt.heads = config.integer("num_attention_heads");
  opt.maximum_length = config.integer("max_position_embeddings");
  if (opt.hidden % opt.heads != 0)
    config.fail("num_attention_heads", "a divisor of hidden_size, " + std::to_string(opt.hidden));
  opt.norms_before = config.boolean_or("do_layer_norm_before", true);
  opt.has_final_norm = opt.norms_before && !config.boolean_or("_remove_final_layer_norm", false);
  opt.bias = config.boolean_or("enable_bias", true);
  opt.affine = config.boolean_or("layer_norm_elementwise_affine", true);
  opt.tied = config.boolean_or("tie_word_embeddings", true);
  opt.activation = read_activation(config, "activation_function");
  return std::make_shared<Opt>(opt, options);
}

}  // namespace laconic::model
