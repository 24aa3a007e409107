// A network of one's own: traced, its layers found, quantizers placed, a node rewritten, run.
#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>

#include <iostream>

#include "laconic/graph/match.h"
#include "laconic/graph/rewrite.h"
#include "laconic/graph/run.h"
#include "laconic/graph/trace.h"

namespace {

using namespace laconic;

struct Net : torch::nn::Module {
  torch::nn::Linear up{register_module("up", torch::nn::Linear(16, 32))};
  torch::nn::Linear down{register_module("down", torch::nn::Linear(32, 16))};

  at::Tensor forward(const at::Tensor& x) {
    const graph::ModuleScope scope(*this);
    return x + graph::run_in_scope(down, at::relu(graph::run_in_scope(up, x)));
  }
};

graph::Graph trace(Net& net) {
  return graph::trace(net, [&](const at::Tensor& x) { return net.forward(x); },
                      {.input = "x",
                       .example =
                           [](int64_t batch, int64_t length) {
                             return at::zeros({batch, length, 16});
                           },
                       .rename = {}});
}

graph::Graph quantize(const graph::Graph& network) {
  const QuantSpec w4 = QuantSpec{}.let(IntFormat{.bit_width = 4}, PerChannel{.axis = 0});
  std::map<std::string, graph::LayerQuantizers> quantizers;
  for (const graph::LinearLayer& layer : graph::find_linear_layers(network))
    quantizers[layer.name].weight = graph::Quantizer{.spec = w4, .parameters = {}};
  return graph::place_quantizers(network, quantizers);
}

graph::Graph without_relu(graph::Graph network) {
  for (graph::NodeId id = 0; id < network.size(); ++id) {
    if (network.at(id).target != "aten::relu") continue;
    const auto input = std::get<graph::Value>(network.at(id).arguments[0].data);
    network = graph::replace_uses(network, {id, 0}, input);
  }
  return graph::remove_unused(network);
}

}  // namespace

int main() {
  const at::NoGradGuard no_gradient;
  Net net;
  std::map<std::string, at::Tensor> tensors;
  for (const auto& parameter : net.named_parameters()) tensors[parameter.key()] = parameter.value();
  const graph::ParameterTable parameters(tensors);

  const graph::Graph network = trace(net);
  std::cout << to_string(network);
  const at::Tensor x = at::randn({2, 5, 16});
  const at::Tensor result = graph::Runner(network)(x, parameters);
  const bool same = at::allclose(result, net.forward(x), 1e-4, 1e-5);
  std::cout << "as the module computes it: " << same << "\n";

  const at::Tensor rounded = graph::Runner(quantize(network))(x, parameters);
  std::cout << "error with 4-bit weights: " << (rounded - result).abs().mean().item<float>()
            << "\n";
  std::cout << "nodes without the relu: " << without_relu(network).size() << " of "
            << network.size() << "\n";
}
