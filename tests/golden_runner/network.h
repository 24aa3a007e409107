#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace laconic::golden {

/// How a layer's input is quantized: signed, one scale.
struct InputQuantizer {
  double scale = 1, q_min = 0, q_max = 0;
  at::Tensor operator()(const at::Tensor& x) const;
};

/// A linear layer (weight [out, in]) or a convolution (weight [out, in / groups, kernel...]) with
/// stride 1.
struct Layer {
  std::string name;
  at::Tensor weight, bias;       ///< bias: undefined when there is none
  std::vector<int64_t> padding;  ///< one a kernel dimension
};

/// Layers with a ReLU between each two.
struct Network {
  std::vector<Layer> layers;
  std::optional<InputQuantizer> input;  ///< before every layer

  /// The input of layer `index` (after its quantizer) when those before have `weights`.
  at::Tensor input_of(size_t index, at::Tensor x, const std::vector<at::Tensor>& weights) const;
  at::Tensor output(const at::Tensor& x, const std::vector<at::Tensor>& weights) const;
};

/// y = layer(x) with another weight.
at::Tensor apply_layer(const Layer& layer, const at::Tensor& x, const at::Tensor& weight);

/// Groups of the convolution that an input of this shape makes; 1 for a linear layer.
int64_t group_count(const Layer& layer, const at::Tensor& x);

/// What the rows of the flattened weight are multiplied with, of one group: [samples, columns].
at::Tensor input_rows(const Layer& layer, const at::Tensor& x, int64_t group);

}  // namespace laconic::golden
