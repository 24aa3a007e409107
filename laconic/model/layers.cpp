#include "laconic/model/layers.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rms_norm.h>

#include "laconic/graph/trace.h"

namespace laconic::model {
namespace {

using graph::ModuleScope;

at::Tensor fresh(at::IntArrayRef shape, const Options& options) {
  return at::empty(shape, options);
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, bool has_bias, const Options& options) {
  weight = register_parameter("weight", fresh({out, in}, options));
  if (has_bias) bias = register_parameter("bias", fresh({out}, options));
}

at::Tensor Linear::forward(const at::Tensor& x) {
  const ModuleScope scope(*this);
  return at::linear(x, weight, bias);
}

Conv1D::Conv1D(int64_t in, int64_t out, const Options& options) {
  weight = register_parameter("weight", fresh({in, out}, options));
  bias = register_parameter("bias", fresh({out}, options));
}

at::Tensor Conv1D::forward(const at::Tensor& x) {
  const ModuleScope scope(*this);
  return at::linear(x, weight.t(), bias);
}

Embedding::Embedding(int64_t count, int64_t size, const Options& options) {
  weight = register_parameter("weight", fresh({count, size}, options));
}

at::Tensor Embedding::forward(const at::Tensor& ids) {
  const ModuleScope scope(*this);
  return at::embedding(weight, ids);
}

LayerNorm::LayerNorm(int64_t size, double epsilon, bool affine, const Options& options)
    : size_(size), epsilon_(epsilon) {
  if (!affine) return;
  weight = register_parameter("weight", fresh({size}, options));
  bias = register_parameter("bias", fresh({size}, options));
}

at::Tensor LayerNorm::forward(const at::Tensor& x) {
  const ModuleScope scope(*this);
  return at::layer_norm(x, {size_}, weight, bias, epsilon_);
}

RmsNorm::RmsNorm(int64_t size, double epsilon, const Options& options, NormGain gain)
    : size_(size), epsilon_(epsilon), gain_(gain) {
  weight = register_parameter("weight", fresh({size}, options));
}

at::Tensor RmsNorm::forward(const at::Tensor& x) {
  const ModuleScope scope(*this);
  return at::rms_norm(x, {size_}, gain_ == NormGain::kWeight ? weight : weight + 1, epsilon_);
}

}  // namespace laconic::model
