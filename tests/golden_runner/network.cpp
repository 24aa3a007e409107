#include "network.h"

#include <ATen/ATen.h>

namespace laconic::golden {
namespace {

bool is_linear(const Layer& layer) { return layer.weight.dim() == 2; }

void check_input(const Layer& layer, const at::Tensor& x) {
  const at::Tensor& w = layer.weight;
  const bool fits = is_linear(layer) ? x.dim() >= 2 && x.size(-1) == w.size(1)
                                     : x.dim() == w.dim() && w.size(1) > 0 &&
                                           x.size(1) % w.size(1) == 0 && x.size(1) > 0;
  TORCH_CHECK_VALUE(fits, "layer ", layer.name, ": an input of shape ", x.sizes(),
                    " does not fit a weight of shape ", w.sizes(), ".");
}

}  // namespace

at::Tensor InputQuantizer::operator()(const at::Tensor& x) const {
  return (x / scale).round().clamp(q_min, q_max) * scale;
}

int64_t group_count(const Layer& layer, const at::Tensor& x) {
  check_input(layer, x);
  if (is_linear(layer)) return 1;
  const int64_t groups = x.size(1) / layer.weight.size(1);
  TORCH_CHECK_VALUE(layer.weight.size(0) % groups == 0, "layer ", layer.name, ": ",
                    layer.weight.size(0), " output channels do not split into ", groups,
                    " groups.");
  return groups;
}

at::Tensor apply_layer(const Layer& layer, const at::Tensor& x, const at::Tensor& weight) {
  const int64_t groups = group_count(layer, x);
  if (is_linear(layer)) return at::linear(x, weight, layer.bias);
  const std::vector<int64_t> ones(layer.padding.size(), 1), zeros(layer.padding.size(), 0);
  return at::convolution(x, weight, layer.bias, ones, layer.padding, ones, /*transposed=*/false,
                         zeros, groups);
}

at::Tensor input_rows(const Layer& layer, const at::Tensor& x, int64_t group) {
  check_input(layer, x);
  if (is_linear(layer)) return x.reshape({-1, x.size(-1)});
  const int64_t channels = layer.weight.size(1);
  at::Tensor part = x.narrow(1, group * channels, channels);
  std::vector<int64_t> kernel = layer.weight.sizes().slice(2).vec(), padding = layer.padding;
  if (kernel.size() == 1) {  // a row of pixels
    part = part.unsqueeze(2);
    kernel.insert(kernel.begin(), 1);
    padding.insert(padding.begin(), 0);
  }
  const auto columns = at::im2col(part, kernel, {1, 1}, padding, {1, 1});
  return columns.transpose(1, 2).reshape({-1, columns.size(1)});
}

at::Tensor Network::input_of(size_t index, at::Tensor x,
                             const std::vector<at::Tensor>& weights) const {
  for (size_t i = 0;; ++i) {
    if (i > 0) x = x.relu();
    if (input) x = (*input)(x);
    if (i == index) return x;
    x = apply_layer(layers[i], x, weights[i]);
  }
}

at::Tensor Network::output(const at::Tensor& x, const std::vector<at::Tensor>& weights) const {
  const size_t last = layers.size() - 1;
  return apply_layer(layers[last], input_of(last, x, weights), weights[last]);
}

}  // namespace laconic::golden
