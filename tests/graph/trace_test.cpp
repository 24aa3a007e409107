#include "laconic/graph/trace.h"

#include <torch/types.h>

#include <set>

#include "laconic/graph/operators.h"
#include "laconic/graph/run.h"
#include "tests/graph/networks.h"
#include "tests/testing/testing.h"

namespace laconic::graph {
namespace {

using testing::AnyNet;
using testing::close;
using testing::ImageNet;
using testing::result_of;
using testing::StackNet;
using testing::table_of;
using testing::trace_net;

constexpr auto image_options = [] {
  return TraceOptions{.input = "image", .example = ImageNet::example, .rename = {}};
};
constexpr auto any_options = [] {
  return TraceOptions{.input = "x", .example = AnyNet::example, .rename = {}};
};

std::set<std::string> modules(const Graph& graph) {
  std::set<std::string> result;
  for (const Node& node : graph.nodes) result.insert(node.module);
  return result;
}

std::set<std::string> calls(const Graph& graph) {
  std::set<std::string> result;
  for (const Node& node : graph.nodes)
    if (node.kind == NodeKind::kCall) result.insert(node.target);
  return result;
}

TEST(Trace, OfNestedModulesRunsAsTheModuleForOtherShapes) {
  StackNet net;
  const Graph graph = trace_net(net);
  const Runner runner(graph);
  for (const auto& shape : {std::vector<int64_t>{1, 1}, {2, 7}, {6, 40}}) {
    const auto ids = at::randint(20, shape, at::kLong);
    EXPECT_TRUE(close(runner(ids, table_of(net)), net.forward(ids))) << at::IntArrayRef(shape);
  }
}

TEST(Trace, NamesThePathOfEachModule) {
  StackNet net;
  const auto paths = modules(trace_net(net));
  for (const char* path : {"embedding", "blocks.0", "blocks.2.up", "blocks.1.norm", "head"})
    EXPECT_TRUE(paths.contains(path)) << path;
}

TEST(Trace, RenamesParametersAndPaths) {
  StackNet net;
  const Graph graph = trace_net(
      net, {.input = "tokens", .example = {}, .rename = [](const auto& x) { return "m." + x; }});
  EXPECT_EQ(graph.at(graph.input()).target, "tokens");
  EXPECT_TRUE(modules(graph).contains("m.blocks.1.up"));
  for (const Node& node : graph.nodes) {
    if (node.kind != NodeKind::kParameter) continue;
    EXPECT_TRUE(node.target.starts_with("m."));
  }
}

TEST(Trace, KeepsLargeOperatorsWhole) {
  StackNet net;
  const auto operators = calls(trace_net(net));
  for (const char* name : {"aten::linear", "aten::layer_norm", "aten::gelu", "aten::embedding"})
    EXPECT_TRUE(operators.contains(name)) << name;
}

TEST(Trace, OfConvolutionsBuffersAndPoolingRunsAsTheModule) {
  ImageNet net;
  const Graph graph = trace_net(net, image_options());
  const auto operators = calls(graph);
  for (const char* name : {"aten::conv2d", "aten::batch_norm", "aten::group_norm"})
    EXPECT_TRUE(operators.contains(name)) << name;
  const auto image = at::rand({4, 3, 16, 16});
  EXPECT_TRUE(close(result_of(graph, image, table_of(net)), net.forward(image)));
}

/// Operators whose shapes-only kernels LibTorch has in Python alone, among them.
struct ShapeNet : torch::nn::Module {
  explicit ShapeNet(c10::Device device) {
    const auto add = [&](const char* name, at::IntArrayRef shape) {
      return register_parameter(name, at::rand(shape, at::TensorOptions().device(device)));
    };
    table = add("table", {50, 6}), kernel = add("kernel", {8, 6, 3});
    eight = register_buffer("eight", at::rand({8}, at::TensorOptions().device(device)));
    up = add("up", {8, 12, 2}), square = add("square", {12, 12});
  }
  at::Tensor forward(const at::Tensor& ids) {
    auto x = at::embedding(table, ids).transpose(1, 2);
    x = at::conv1d(x, kernel, {}, 1, 1);
    x = at::batch_norm(x, eight, eight, eight, eight, false, 0.1, 1e-5, false);
    x = at::gelu(at::group_norm(x, 2, eight, eight), "tanh");
    x = at::conv_transpose1d(x, up, {}, 2);
    x = at::max_pool1d(at::instance_norm(x, {}, {}, {}, {}, true, 0.1, 1e-5, false), 2);
    x = at::layer_norm(x.transpose(1, 2), {12}) + at::rms_norm(x.transpose(1, 2), {12});
    x = at::linear(at::silu(x), square).softmax(-1).cumsum(1);
    x = at::scaled_dot_product_attention(x, x, x).unflatten(-1, {4, 3}).flatten(1, 2);
    return at::adaptive_avg_pool1d(x.index_select(-1, positions(eight.view({4, 2}))), 3);
  }
  at::Tensor table, kernel, eight, up, square;
};

TEST(Trace, OnTheMetaDeviceGivesTheSameGraph) {
  ShapeNet real(at::kCPU), shapes(at::kMeta);
  const Graph graph = trace_net(shapes);
  EXPECT_EQ(to_string(graph), to_string(trace_net(real)));
  const auto ids = at::randint(50, {2, 9}, at::kLong);
  EXPECT_TRUE(close(result_of(graph, ids, table_of(real)), real.forward(ids)));
}

TEST(Trace, OfARecurrentNetworkRunsAsTheModule) {
  torch::nn::LSTM lstm(torch::nn::LSTMOptions(4, 6).num_layers(2).batch_first(true));
  lstm->eval();
  const auto forward = [&](const at::Tensor& x) { return std::get<0>(lstm->forward(x)); };
  const Graph graph = trace(*lstm, forward, any_options());
  const auto x = at::rand({2, 9, 4});
  EXPECT_TRUE(close(result_of(graph, x, table_of(*lstm)), forward(x)));
}

TEST(Trace, ChangesInPlaceBecomeNewTensors) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) {
    auto y = self.linear(x);
    y.mul_(2).add_(self.named_buffers()["buffer"]).clamp_(-0.5, 0.5);
    return y.relu_() + y;
  });
  const Graph graph = trace_net(net, any_options());
  EXPECT_EQ(calls(graph), (std::set<std::string>{"aten::linear", "aten::mul.Scalar",
                                                 "aten::add.Tensor", "aten::clamp", "aten::relu"}));
  const auto x = at::rand({2, 3, 4});
  EXPECT_TRUE(close(result_of(graph, x, table_of(net)), net.forward(x)));
}

TEST(Trace, AnInputChangedInPlaceStaysAsItIsInTheGraph) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) {
    at::Tensor y = x;
    return self.linear(y.add_(1));
  });
  const Graph graph = trace_net(net, any_options());
  const auto x = at::rand({2, 3, 4}), before = x.clone();
  const auto result = result_of(graph, x, table_of(net));
  EXPECT_TRUE(at::equal(x, before));
  EXPECT_TRUE(close(result, net.forward(x.clone())));
}

TEST(Trace, SizesOfTheInputFollowItsShape) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) {
    const int64_t batch = x.size(0), length = x.size(1);
    return self.linear(x.reshape({batch * length, 4})).reshape({length, 2 * batch, 2});
  });
  const Graph graph = trace_net(net, any_options());
  EXPECT_NE(to_string(graph).find("2*batch"), std::string::npos) << to_string(graph);
  const auto x = at::rand({4, 9, 4});
  EXPECT_TRUE(close(result_of(graph, x, table_of(net)), net.forward(x)));
}

TEST(Trace, NumbersWrittenInForwardAreConstants) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) {
    return self.linear(x) * torch::tensor({1.0f, 0.123456789f, 3.0f, 4.0f});
  });
  const Graph graph = trace_net(net, any_options());
  const auto x = at::rand({2, 3, 4});
  EXPECT_TRUE(close(result_of(graph, x, table_of(net)), net.forward(x)));
}

TEST(Trace, WhatNothingUsesIsLeftOut) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) {
    self.linear(x).softmax(-1);
    return x * 2;
  });
  EXPECT_EQ(trace_net(net, any_options()).size(), 3);
}

struct Fault {
  const char* name;
  AnyNet::Function forward;
  std::vector<std::string> words;
};

at::Tensor outside() {
  static const at::Tensor tensor = at::ones({4});
  return tensor;
}

/// `forward` inside a scope of "linear", so that messages can name it.
std::vector<Fault> faults() {
  return {
      {"tensor from outside",
       [](AnyNet&, const at::Tensor& x) { return x * outside(); },
       {"neither a parameter, a buffer", "Register it as a buffer"}},
      {"random",
       [](AnyNet&, const at::Tensor& x) { return x + at::rand_like(x); },
       {"aten::rand_like", "random"}},
      {"dropout in training",
       [](AnyNet&, const at::Tensor& x) { return at::dropout(x, 0.5, true); },
       {"aten::dropout", "eval()"}},
      {"a choice by value",
       [](AnyNet&, const at::Tensor& x) { return x.sum().item<float>() > 0 ? x : x * 2; },
       {"aten::item", "a number in a tensor", "where"}},
      {"a condition",
       [](AnyNet&, const at::Tensor& x) { return x.sum().is_nonzero() ? x : x * 2; },
       {"aten::is_nonzero", "a number in a tensor"}},
      {"a mask as index",
       [](AnyNet&, const at::Tensor& x) { return x.index({x > 0.5}); },
       {"aten::index.Tensor", "depends on the numbers"}},
      {"nonzero",
       [](AnyNet&, const at::Tensor& x) { return x.nonzero(); },
       {"aten::nonzero", "depends on the numbers"}},
      {"a parameter changed",
       [](AnyNet& self, const at::Tensor& x) {
         self.linear->weight.view(-1).mul_(1.0);
         return self.linear(x);
       },
       {"aten::mul_.Scalar", "linear.weight", "in place"}},
      {"a view changed",
       [](AnyNet&, const at::Tensor& x) {
         auto y = x * 2;
         y.select(-1, 0).zero_();
         return y + 1;
       },
       {"aten::add", "another view was changed in place"}},
      {"memory not written",
       [](AnyNet&, const at::Tensor& x) { return x + at::empty_like(x); },
       {"no operator has written", "zeros_like"}},
      {"out=",
       [](AnyNet&, const at::Tensor& x) {
         auto y = at::zeros_like(x);
         at::mul_out(y, x, x);
         return y;
       },
       {"aten::mul.out", "out="}},
      {"statistics of the batch",
       [](AnyNet& self, const at::Tensor& x) {
         const at::Tensor buffer = self.named_buffers()["buffer"];
         return at::batch_norm(x.transpose(1, 2), {}, {}, buffer, buffer, true, 0.1, 1e-5, false);
       },
       {"aten::batch_norm", "running statistics", "eval()"}},
      {"length less one",
       [](AnyNet&, const at::Tensor& x) { return x.narrow(1, 0, x.size(1) - 1); },
       {"aten::narrow", "depends on the shape", "10 for [3, 11]"}},
      {"other operators by shape",
       [](AnyNet&, const at::Tensor& x) { return x.size(0) > 4 ? x.relu() : x.tanh(); },
       {"other operators for another shape", "aten::tanh", "aten::relu"}},
      {"a constant by shape",
       [](AnyNet&, const at::Tensor& x) {
         return x * torch::tensor({static_cast<float>(x.size(1))});
       },
       {"a tensor made in forward", "depends on the shape"}},
      {"a constant as output",
       [](AnyNet&, const at::Tensor&) { return torch::tensor({1.0f}); },
       {"the output is a constant"}},
  };
}

TEST(TraceFault, EachIsRefusedWithTheNameOfTheModule) {
  for (const Fault& fault : faults()) {
    SCOPED_TRACE(fault.name);
    AnyNet net([&](AnyNet& self, const at::Tensor& x) {
      const ModuleScope scope(*self.linear);
      return fault.forward(self, x);
    });
    auto words = fault.words;
    if (words[0] != "the output is a constant") words.push_back("module \"linear\"");
    laconic::testing::expect_error<c10::ValueError>([&] { trace_net(net, any_options()); }, words);
  }
}

TEST(TraceFault, AnErrorOfAnOperatorNamesTheModule) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) { return self.linear(x.narrow(-1, 0, 3)); });
  laconic::testing::expect_error<c10::Error>([&] { trace_net(net, any_options()); },
                                             {"while tracing aten::matmul"});
}

TEST(TraceFault, ATraceInsideATraceIsRefused) {
  StackNet inner;
  AnyNet net([&](AnyNet&, const at::Tensor& x) {
    trace_net(inner);
    return x;
  });
  laconic::testing::expect_error<c10::ValueError>([&] { trace_net(net, any_options()); },
                                                  {"under way"});
}

TEST(TraceFault, AfterAFailedTraceTheNextOneWorks) {
  AnyNet bad([](AnyNet&, const at::Tensor& x) { return at::rand_like(x); });
  EXPECT_THROW(trace_net(bad, any_options()), c10::ValueError);
  StackNet good;
  EXPECT_GT(trace_net(good).size(), 10);
}

}  // namespace
}  // namespace laconic::graph
