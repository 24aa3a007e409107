#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>

namespace laconic::model {

using Options =
    c10::TensorOptions;  ///< where parameters live: the meta device when a model is only traced

/// y = x W^T + b, W [out, in].
class Linear : public torch::nn::Module {
 public:
  Linear(int64_t in, int64_t out, bool has_bias, const Options& options);
  /// A head that shares another module's weight, which it does not register.
  explicit Linear(at::Tensor shared_weight) : weight(std::move(shared_weight)) {}
  at::Tensor forward(const at::Tensor& x);
  at::Tensor weight, bias;
};

/// y = x W + b, W [in, out]: how GPT-2 stores its linear layers.
class Conv1D : public torch::nn::Module {
 public:
  Conv1D(int64_t in, int64_t out, const Options& options);
  at::Tensor forward(const at::Tensor& x);
  at::Tensor weight, bias;
};

class Embedding : public torch::nn::Module {
 public:
  Embedding(int64_t count, int64_t size, const Options& options);
  at::Tensor forward(const at::Tensor& ids);
  at::Tensor weight;
};

class LayerNorm : public torch::nn::Module {
 public:
  LayerNorm(int64_t size, double epsilon, bool affine, const Options& options);
  at::Tensor forward(const at::Tensor& x);
  at::Tensor weight, bias;

 private:
  int64_t size_;
  double epsilon_;
};

/// What an RMS norm multiplies by: its weight, or 1 + its weight (Gemma).
enum class NormGain { kWeight, kOnePlusWeight };

/// x / sqrt(mean(x^2) + epsilon) * gain over the last dimension (arXiv:1910.07467).
class RmsNorm : public torch::nn::Module {
 public:
  RmsNorm(int64_t size, double epsilon, const Options& options, NormGain gain = NormGain::kWeight);
  at::Tensor forward(const at::Tensor& x);
  at::Tensor weight;

 private:
  int64_t size_;
  double epsilon_;
  NormGain gain_;
};

}  // namespace laconic::model
