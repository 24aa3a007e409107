#include "laconic/model/decoder_parts.h"

#include "laconic/graph/trace.h"

namespace laconic::model {
namespace {

using graph::ModuleScope;

class GatedMlp : public FeedForward {
 public:
  GatedMlp(const GatedNames& names, const DecoderConfig& config, const Options& options)
      : activation_(config.activation) {
    const auto linear = [&](const char* name, int64_t in, int64_t out) {
      return register_module(name, std::make_shared<Linear>(in, out, config.mlp_bias, options));
    };
    gate_ = linear(names.gate, config.hidden, names.intermediate);
    up_ = linear(names.up, config.hidden, names.intermediate);
    down_ = linear(names.down, names.intermediate, config.hidden);
  }

  at::Tensor forward(const at::Tensor& x) override {
    const ModuleScope scope(*this);
    return down_->forward(activation_(gate_->forward(x)) * up_->forward(x));
  }

 private:
  Activation activation_;
  std::shared_ptr<Linear> gate_, up_, down_;
};

class FusedMlp : public FeedForward {
 public:
  FusedMlp(const DecoderConfig& config, const Options& options)
      : activation_(config.activation), intermediate_(config.intermediate) {
    gate_up_ = register_module(
        "gate_up_proj", std::make_shared<Linear>(config.hidden, 2 * intermediate_, false, options));
    down_ = register_module("down_proj",
                            std::make_shared<Linear>(intermediate_, config.hidden, false, options));
  }

  at::Tensor forward(const at::Tensor& x) override {
    const ModuleScope scope(*this);
    const auto both = gate_up_->forward(x);
    const auto gate = both.narrow(-1, 0, intermediate_);
    return down_->forward(activation_(gate) * both.narrow(-1, intermediate_, intermediate_));
  }

 private:
  Activation activation_;
  int64_t intermediate_;
  std::shared_ptr<Linear> gate_up_, down_;
};

}  // namespace

DecoderAttention::DecoderAttention(const DecoderConfig& config, int64_t layer,
                                   const Options& options)
    : config_(config), window_(config.windows.at(layer)) {
  const int64_t inner = config.heads * config.head_dim, shared = config.groups * config.head_dim;
  const auto linear = [&](const char* name, int64_t in, int64_t out, bool bias) {
    return register_module(name, std::make_shared<Linear>(in, out, bias, options));
  };
  if (config.is_fused) {
    qkv_ = linear("qkv_proj", config.hidden, inner + 2 * shared, config.qkv_bias);
  } else {
    q_ = linear("q_proj", config.hidden, inner, config.qkv_bias);
    k_ = linear("k_proj", config.hidden, shared, config.qkv_bias);
    v_ = linear("v_proj", config.hidden, shared, config.qkv_bias);
  }
  output_ = linear("o_proj", inner, config.hidden, config.output_bias);
  if (!config.normalizes_heads) return;
  const auto norm = [&](const char* name) {
    return register_module(
        name, std::make_shared<RmsNorm>(config.head_dim, config.epsilon, options, config.gain));
  };
  q_norm_ = norm("q_norm");
  k_norm_ = norm("k_norm");
}

DecoderAttention::Heads DecoderAttention::project(const at::Tensor& x) {
  if (!config_.is_fused) return {q_->forward(x), k_->forward(x), v_->forward(x)};
  const int64_t inner = config_.heads * config_.head_dim,
                shared = config_.groups * config_.head_dim;
  const auto qkv = qkv_->forward(x);
  return {qkv.narrow(-1, 0, inner), qkv.narrow(-1, inner, shared),
          qkv.narrow(-1, inner + shared, shared)};
}

at::Tensor DecoderAttention::split(const at::Tensor& x, int64_t count,
                                   const std::shared_ptr<RmsNorm>& norm) const {
  const auto heads = x.unflatten(-1, {count, config_.head_dim});
  return (norm ? norm->forward(heads) : heads).transpose(1, 2);
}

at::Tensor DecoderAttention::forward(const at::Tensor& x) {
  const ModuleScope scope(*this);
  const Heads projected = project(x);
  const Rope& rope = window_ && config_.window_rope ? *config_.window_rope : config_.rope;
  const auto q = turn(rope, split(projected.q, config_.heads, q_norm_));
  const auto k = turn(rope, split(projected.k, config_.groups, k_norm_));
  const auto v = split(projected.v, config_.groups, nullptr);
  const auto mixed =
      graph::attention(q, k, v, config_.attention_scale, window_, config_.attention_cap);
  return output_->forward(mixed.transpose(1, 2).flatten(2));
}

std::shared_ptr<FeedForward> make_gated_mlp(const GatedNames& names, const DecoderConfig& config,
                                            const Options& options) {
  return std::make_shared<GatedMlp>(names, config, options);
}

std::shared_ptr<FeedForward> make_fused_mlp(const DecoderConfig& config, const Options& options) {
  return std::make_shared<FusedMlp>(config, options);
}

}  // namespace laconic::model
