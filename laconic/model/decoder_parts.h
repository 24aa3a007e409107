#pragma once

#include <memory>

#include "laconic/model/decoder.h"

namespace laconic::model {

/// Causal attention of a decoder layer. Keeps a reference to the configuration.
class DecoderAttention : public torch::nn::Module {
 public:
  DecoderAttention(const DecoderConfig& config, int64_t layer, const Options& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  struct Heads {
    at::Tensor q, k, v;  ///< [batch, length, features]
  };
  Heads project(const at::Tensor& x);
  at::Tensor split(const at::Tensor& x, int64_t count, const std::shared_ptr<RmsNorm>& norm) const;

  const DecoderConfig& config_;
  std::optional<int64_t> window_;
  std::shared_ptr<Linear> qkv_, q_, k_, v_, output_;
  std::shared_ptr<RmsNorm> q_norm_, k_norm_;
};

/// What stands in a layer beside attention: x -> x', both [..., hidden].
class FeedForward : public torch::nn::Module {
 public:
  virtual at::Tensor forward(const at::Tensor& x) = 0;
};

/// Size of a gated MLP, and what its linear layers are called.
struct GatedNames {
  int64_t intermediate = 0;
  const char *gate = "gate_proj", *up = "up_proj", *down = "down_proj";
};

/// down(activation(gate(x)) * up(x)).
std::shared_ptr<FeedForward> make_gated_mlp(const GatedNames& names, const DecoderConfig& config,
                                            const Options& options);
/// The same with gate and up in one linear layer, gate first.
std::shared_ptr<FeedForward> make_fused_mlp(const DecoderConfig& config, const Options& options);
/// `config.mixture`: each expert runs on the tokens that are routed to it.
std::shared_ptr<FeedForward> make_mixture(const DecoderConfig& config, const Options& options);

}  // namespace laconic::model
