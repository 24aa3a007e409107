#pragma once

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/pooling.h>
#include <torch/nn/modules/rnn.h>

#include <map>
#include <memory>
#include <string>

#include "laconic/graph/parameters.h"
#include "laconic/graph/run.h"
#include "laconic/graph/trace.h"

namespace laconic::graph::testing {

/// Parameters and buffers of a module, by name.
inline ParameterTable table_of(const torch::nn::Module& module) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& item : module.named_parameters()) tensors[item.key()] = item.value();
  for (const auto& item : module.named_buffers()) tensors[item.key()] = item.value();
  return ParameterTable(std::move(tensors));
}

/// Equal up to the order of sums: torch::nn::Linear adds its bias apart.
inline bool close(const at::Tensor& x, const at::Tensor& y) {
  return x.sizes() == y.sizes() && at::allclose(x, y, 1e-4, 1e-5);
}

/// Result of the whole graph.
inline at::Tensor result_of(const Graph& graph, const at::Tensor& input,
                            const Parameters& parameters) {
  const Runner runner(graph);
  return runner(input, parameters);
}

/// A residual block of two linear layers.
struct BlockNet : torch::nn::Module {
  explicit BlockNet(int64_t width)
      : up(width, 2 * width), down(2 * width, width), norm(torch::nn::LayerNormOptions({width})) {
    register_module("norm", norm);
    register_module("up", up);
    register_module("down", down);
  }
  at::Tensor forward(const at::Tensor& x) {
    const ModuleScope scope(*this);
    return x + down(at::gelu(up(norm(x))));
  }
  torch::nn::Linear up, down;
  torch::nn::LayerNorm norm;
};

/// ids -> embedding -> numbered blocks -> head.
struct StackNet : torch::nn::Module {
  explicit StackNet(int64_t depth = 3, int64_t width = 8)
      : embedding(torch::nn::Embedding(20, width)), head(width, 20) {
    register_module("embedding", embedding);
    auto list = std::make_shared<torch::nn::Module>();
    for (int64_t i = 0; i < depth; ++i)
      blocks.push_back(list->register_module(std::to_string(i), std::make_shared<BlockNet>(width)));
    register_module("blocks", list);
    register_module("head", head);
  }
  at::Tensor forward(const at::Tensor& ids) {
    const ModuleScope scope(*this);
    auto x = embedding(ids);
    for (const auto& block : blocks) x = block->forward(x);
    return head(x);
  }
  torch::nn::Embedding embedding;
  std::vector<std::shared_ptr<BlockNet>> blocks;
  torch::nn::Linear head;
};

/// What users write for images: convolutions, buffers, pooling, changes in place.
struct ImageNet : torch::nn::Module {
  ImageNet()
      : conv(torch::nn::Conv2dOptions(3, 6, 3).padding(1)),
        depthwise(torch::nn::Conv2dOptions(6, 6, 3).groups(6).stride(2)),
        norm(6),
        groups(2, 6),
        relu(torch::nn::ReLUOptions(true)),
        drop(0.5),
        pool(torch::nn::AdaptiveAvgPool2dOptions(2)),
        head(24, 5) {
    register_module("conv", conv);
    register_module("depthwise", depthwise);
    register_module("norm", norm);
    register_module("groups", groups);
    register_module("drop", drop);
    register_module("head", head);
    shift = register_buffer("shift", at::full({3, 1, 1}, 0.25));
  }
  at::Tensor forward(const at::Tensor& image) {
    auto x = relu(norm(conv(image - shift)));
    x += 0.5;
    x = at::max_pool2d(x, 2);
    x = pool(groups(at::hardtanh(depthwise(x))));
    return head(drop(x.flatten(1)));
  }
  static at::Tensor example(int64_t batch, int64_t) { return at::rand({batch, 3, 16, 16}); }
  torch::nn::Conv2d conv, depthwise;
  torch::nn::BatchNorm2d norm;
  torch::nn::GroupNorm groups;
  torch::nn::ReLU relu;
  torch::nn::Dropout drop;
  torch::nn::AdaptiveAvgPool2d pool;
  torch::nn::Linear head;
  at::Tensor shift;
};

/// A module whose forward is the function given to it.
struct AnyNet : torch::nn::Module {
  using Function = std::function<at::Tensor(AnyNet&, const at::Tensor&)>;
  explicit AnyNet(Function run) : run(std::move(run)), linear(4, 4) {
    register_module("linear", linear);
    register_buffer("buffer", at::ones({4}));
  }
  at::Tensor forward(const at::Tensor& x) { return run(*this, x); }
  static at::Tensor example(int64_t batch, int64_t length) { return at::rand({batch, length, 4}); }
  Function run;
  torch::nn::Linear linear;
};

template <typename Net>
Graph trace_net(Net& net, const TraceOptions& options = {}) {
  net.eval();
  return trace(
      net, [&](const at::Tensor& x) { return net.forward(x); }, options);
}

}  // namespace laconic::graph::testing
