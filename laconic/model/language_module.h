#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>

namespace laconic::model {

/// A language model as a plain LibTorch module: input_ids [batch, length] -> logits [batch, length,
/// vocabulary]. Its parameters have the names of the checkpoint.
class LanguageModule : public torch::nn::Module {
 public:
  virtual at::Tensor forward(const at::Tensor& ids) = 0;
  int64_t vocabulary_size = 0;
  int64_t maximum_length = 0;
};

}  // namespace laconic::model
