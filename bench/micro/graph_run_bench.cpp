// What interpretation costs: a runner's time over the same operators called directly, a node.
//   build/release/bin/graph_run_bench
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <benchmark/benchmark.h>
#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

#include <chrono>

#include "laconic/graph/run.h"
#include "laconic/graph/trace.h"

namespace {

using Clock = std::chrono::steady_clock;
using laconic::graph::ParameterTable;
using laconic::graph::Runner;

/// Layers so small that calls cost more than arithmetic: y = y + relu(W y + b).
struct Chain : torch::nn::Module {
  explicit Chain(int64_t depth) {
    for (int64_t i = 0; i < depth; ++i) {
      weights.push_back(register_parameter("weight" + std::to_string(i), at::rand({4, 4})));
      biases.push_back(register_parameter("bias" + std::to_string(i), at::rand({4})));
    }
  }
  at::Tensor forward(at::Tensor x) const {
    for (size_t i = 0; i < weights.size(); ++i)
      x = x + at::relu(at::linear(x, weights[i], biases[i]));
    return x;
  }
  std::vector<at::Tensor> weights, biases;
};

template <typename Function>
double seconds(Function&& function) {
  const auto begin = Clock::now();
  function();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void interpretation(benchmark::State& state) {
  const c10::NoGradGuard no_grad;
  const Chain chain(state.range(0));
  std::map<std::string, at::Tensor> tensors;
  for (const auto& item : chain.named_parameters()) tensors[item.key()] = item.value();
  const ParameterTable table(tensors);
  const auto graph =
      laconic::graph::trace(chain, [&](const at::Tensor& x) { return chain.forward(x); },
                            {.input = "x",
                             .example =
                                 [](int64_t batch, int64_t length) {
                                   return at::rand({batch, length, 4});
                                 },
                             .rename = {}});
  const Runner runner(graph);
  const auto x = at::rand({1, 1, 4});
  const auto nodes = static_cast<double>(graph.size() - 2);
  double direct = 0, run = 0;
  for (auto _ : state) {
    direct += seconds([&] { benchmark::DoNotOptimize(chain.forward(x)); });
    run += seconds([&] { benchmark::DoNotOptimize(runner(x, table)); });
  }
  const auto a_node = [&](double total) {
    return 1e9 * total / static_cast<double>(state.iterations()) / nodes;
  };
  state.counters["direct_ns_a_node"] = a_node(direct);
  state.counters["runner_ns_a_node"] = a_node(run);
  state.counters["interpretation_ns_a_node"] = a_node(run - direct);
}
BENCHMARK(interpretation)->Arg(10)->Arg(200)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
