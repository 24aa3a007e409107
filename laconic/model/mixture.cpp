#include <ATen/ops/empty.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros_like.h>

#include "laconic/graph/trace.h"
#include "laconic/model/decoder_parts.h"

namespace laconic::model {
namespace {

using graph::ModuleScope;

/// A small matrix that decides, and is no linear layer of the graph: quantizing it would send
/// tokens to other experts for next to no bytes.
class Router : public torch::nn::Module {
 public:
  Router(int64_t experts, int64_t hidden, const Options& options) {
    weight = register_parameter("weight", at::empty({experts, hidden}, options));
  }
  at::Tensor weight;
};

class MixtureOfExperts : public FeedForward {
 public:
  MixtureOfExperts(const DecoderConfig& config, const Options& options)
      : chosen_(config.mixture->chosen), normalizes_(config.mixture->normalizes) {
    const Mixture& mixture = *config.mixture;
    gate_ =
        register_module("gate", std::make_shared<Router>(mixture.experts, config.hidden, options));
    const GatedNames names{mixture.intermediate, mixture.gate, mixture.up, mixture.down};
    auto list = std::make_shared<torch::nn::Module>();
    for (int64_t i = 0; i < mixture.experts; ++i)
      experts_.push_back(
          list->register_module(std::to_string(i), make_gated_mlp(names, config, options)));
    register_module("experts", list);
    if (mixture.shared == 0) return;
    shared_ = register_module("shared_expert",
                              make_gated_mlp({.intermediate = mixture.shared}, config, options));
    shared_gate_ =
        register_module("shared_expert_gate", std::make_shared<Router>(1, config.hidden, options));
  }

  at::Tensor forward(const at::Tensor& x) override {
    const ModuleScope scope(*this);
    const auto shares = graph::route(x, gate_->weight, chosen_, normalizes_);
    at::Tensor sum =
        shared_ ? at::sigmoid((x * shared_gate_->weight).sum(-1, true)) * shared_->forward(x)
                : at::zeros_like(x);
    for (size_t i = 0; i < experts_.size(); ++i) {
      const auto number = static_cast<int64_t>(i);
      const auto rows = experts_[i]->forward(graph::expert_rows(x, shares, number));
      sum = graph::add_expert(sum, rows, shares, number);
    }
    return sum;
  }

 private:
  int64_t chosen_;
  bool normalizes_;
  std::shared_ptr<Router> gate_, shared_gate_;
  std::vector<std::shared_ptr<FeedForward>> experts_;
  std::shared_ptr<FeedForward> shared_;
};

}  // namespace

std::shared_ptr<FeedForward> make_mixture(const DecoderConfig& config, const Options& options) {
  return std::make_shared<MixtureOfExperts>(config, options);
}

}  // namespace laconic::model
