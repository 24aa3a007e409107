#pragma once

#include <nlohmann/json.hpp>
#include <numeric>

#include "laconic/quant/quantizer/block_formats.h"
#include "laconic/solve/solve.h"
#include "tests/solve/problems.h"

namespace laconic::testing {

constexpr int64_t kToyWindows = 12, kToyFeatures = 32;

/// y = relu(x A^T) B^T as a block, on windows of correlated inputs.
struct ToyBlock {
  at::Tensor x =
      correlated_inputs(kToyWindows * 16, kToyFeatures).view({kToyWindows, 16, kToyFeatures});
  BlockProblem problem;

  explicit ToyBlock(const QuantSpec& spec) {
    at::manual_seed(4);
    problem.name = "toy";
    problem.windows = kToyWindows;
    for (const char* name : {"a", "b"}) {
      problem.layers.push_back({.name = name,
                                .weight = at::randn({kToyFeatures, kToyFeatures}),
                                .spec = spec,
                                .hessian = {},
                                .importance = {}});
    }
    const at::Tensor wanted = run(x, float_weights());
    problem.loss = [this, wanted](const std::vector<int64_t>& windows,
                                  const std::vector<at::Tensor>& weights) {
      const at::Tensor chosen = at::tensor(windows);
      return (run(x.index_select(0, chosen), weights) - wanted.index_select(0, chosen))
          .square()
          .mean();
    };
  }
  ToyBlock(const ToyBlock&) = delete;

  static at::Tensor run(const at::Tensor& x, const std::vector<at::Tensor>& weights) {
    return x.matmul(weights[0].t()).relu().matmul(weights[1].t());
  }
  std::vector<at::Tensor> float_weights() const {
    return {problem.layers[0].weight, problem.layers[1].weight};
  }
  double loss(const std::vector<LayerSolution>& solutions) const {
    std::vector<at::Tensor> weights;
    for (size_t i = 0; i < solutions.size(); ++i)
      weights.push_back(
          dequantize(problem.layers[i].spec, solutions[i].codes, solutions[i].parameters));
    std::vector<int64_t> all(kToyWindows);
    std::iota(all.begin(), all.end(), 0);
    return problem.loss(all, weights).item<double>();
  }
  std::vector<LayerSolution> nearest() const {
    std::vector<LayerSolution> solutions;
    for (const LayerProblem& layer : problem.layers)
      solutions.push_back(find_solver("nearest").solve(layer, nlohmann::json::object()));
    return solutions;
  }
};

inline QuantSpec asymmetric(int64_t bits) {
  QuantSpec spec = int_spec(bits, PerGroup{.axis = 1, .group_size = 16});
  spec.format = IntFormat{.bit_width = bits, .is_signed = false};
  spec.zero_point = IntegerZeroPoint{};
  spec.scale = StatisticScale{{.statistic = MinMax{}}};
  return spec;
}

/// Integers of few bits, by group, row and tensor, with and without a zero point.
inline std::vector<QuantSpec> some_specs() {
  return {int_spec(2, PerGroup{.axis = 1, .group_size = 16}), int_spec(3, PerChannel{0}),
          int_spec(4, PerTensor{}), asymmetric(2), asymmetric(3)};
}

/// Four bits that are no integers, under scales of every kind: a power of two for each group, e4m3,
/// any float; and a minifloat of eight.
inline std::vector<QuantSpec> float_specs() {
  return {mx(e2m1(), BlockScale::kFloor), nvfp4(),
          int_spec(4, PerGroup{.axis = 1, .group_size = 16}).let(Format(nf4())),
          int_spec(8, PerChannel{0}).let(Format(e4m3()))};
}

}  // namespace laconic::testing
