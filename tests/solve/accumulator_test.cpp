#include "laconic/solve/columns/accumulator.h"

#include <nlohmann/json.hpp>

#include "laconic/solve/gpfq/gpfq.h"
#include "laconic/solve/gptaq/gptaq.h"
#include "laconic/solve/gptq/gptq.h"
#include "laconic/solve/qronos/qronos.h"
#include "tests/solve/problems.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using columns::Accumulator;
using columns::Options;
using laconic::testing::expect_error;
using laconic::testing::followed_error;
using laconic::testing::int_spec;
using laconic::testing::mismatched_layer;

QuantSpec input_spec(int64_t bits, bool is_signed) {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = bits, .is_signed = is_signed};
  return spec;
}

LayerSolution solve(const std::string& name, const LayerProblem& problem, const Options& options) {
  if (name == "gptq") return gptq::solve(problem, options);
  if (name == "gpfq") return gpfq::solve(problem, options);
  if (name == "gptaq") return gptaq::solve(problem, {options});
  return qronos::solve(problem, options);
}

/// The largest magnitude that any input of the range can bring a tile's sum to.
int64_t worst_sum(const at::Tensor& codes, int64_t tile, const CodeRange& input) {
  int64_t worst = 0;
  for (const at::Tensor& part : codes.to(at::kLong).split(tile, 1)) {
    const at::Tensor positive = part.clamp_min(0).sum(1), negative = part.clamp_max(0).sum(1);
    const at::Tensor high = positive * input.q_max + negative * input.q_min;
    const at::Tensor low = positive * input.q_min + negative * input.q_max;
    worst = std::max({worst, high.max().item<int64_t>(), -low.min().item<int64_t>()});
  }
  return worst;
}

TEST(Accumulator, IsNeverOverflownByAnyInputInRange) {
  for (const std::string name : {"gptq", "gpfq", "gptaq", "qronos"}) {
    LayerProblem problem = mismatched_layer(int_spec(4, PerChannel{0})).problem;
    for (const bool is_signed : {true, false}) {
      for (const auto& [bits, tile] :
           std::vector<std::pair<int64_t, int64_t>>{{9, 24}, {12, 24}, {12, 128}, {16, 128}}) {
        SCOPED_TRACE(name + (is_signed ? " signed " : " unsigned ") + std::to_string(bits));
        problem.input = input_spec(6, is_signed);
        const auto solved =
            solve(name, problem, {.activation_order = is_signed, .accumulator = {{bits, tile}}});
        const int64_t worst = worst_sum(solved.codes, tile, code_range(problem.input->format));
        EXPECT_LE(worst, (int64_t{1} << (bits - 1)) - 1);
        EXPECT_GT(worst, 0);
      }
    }
  }
}

TEST(Accumulator, OfManyBitsChangesNothing) {
  for (const std::string name : {"gptq", "gpfq", "gptaq", "qronos"}) {
    SCOPED_TRACE(name);
    LayerProblem problem = mismatched_layer(int_spec(4, PerChannel{0})).problem;
    problem.input = input_spec(8, true);
    const auto free = solve(name, problem, {});
    const auto bound = solve(name, problem, {.accumulator = {{32, 0}}});
    EXPECT_TRUE(at::equal(free.codes, bound.codes));
  }
}

TEST(Accumulator, OfMoreBitsLosesLess) {
  auto layer = mismatched_layer(int_spec(4, PerChannel{0}));
  layer.problem.input = input_spec(6, true);
  for (const std::string name : {"gptq", "gpfq"}) {
    double last = 1e9;
    for (const int64_t bits : {10, 12, 14, 16}) {
      const double error =
          followed_error(layer, solve(name, layer.problem, {.accumulator = {{bits, 0}}}));
      EXPECT_LT(error, last) << name << " " << bits;
      last = error;
    }
  }
}

TEST(Accumulator, SmallTilesLoseLessThanOneSum) {
  auto layer = mismatched_layer(int_spec(4, PerChannel{0}));
  layer.problem.input = input_spec(6, true);
  const double whole =
      followed_error(layer, gptq::solve(layer.problem, {.accumulator = {{12, 0}}}));
  EXPECT_LT(followed_error(layer, gptq::solve(layer.problem, {.accumulator = {{12, 32}}})), whole);
}

TEST(Accumulator, NeedsIntegersOnBothSides) {
  LayerProblem problem = mismatched_layer(int_spec(4, PerChannel{0})).problem;
  const Options options{.accumulator = Accumulator{}};
  expect_error<c10::ValueError>([&] { gptq::solve(problem, options); },
                                {"[gptq] layer layer", "input quantizer", "none"});
  problem.input = QuantSpec{.format = e4m3()};
  expect_error<c10::ValueError>([&] { gptq::solve(problem, options); }, {"e4m3"});
  problem.input = input_spec(8, true);
  problem.spec.format = e2m1();
  expect_error<c10::ValueError>([&] { gptq::solve(problem, options); },
                                {"symmetric integer weight", "e2m1"});
}

TEST(Accumulator, OptionsAreChecked) {
  const auto refuses = [](const nlohmann::json& options, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>([&] { gpfq::check_options(options); }, words);
  };
  refuses({{"accumulator_bits", 1}}, {"[gpfq] accumulator_bits", "2 to 32"});
  refuses({{"accumulator_tile", 64}}, {"accumulator_tile", "Set accumulator_bits"});
  refuses({{"accumulator_bits", 16}, {"group_scales", "live"}}, {"exclude each other"});
}

TEST(ProjectionThreshold, BringsTheSumOfMagnitudesToTheRadius) {
  const at::Tensor x = at::tensor({3.0f, -1.0f, 0.5f, 0.1f, 0.1f, 0.0f}).view({2, 3});
  const at::Tensor threshold = columns::projection_threshold(x, 2.0);
  EXPECT_FLOAT_EQ(threshold[0].item<float>(), 1.0f);  // 3 - 1, 1 - 1, 0
  EXPECT_FLOAT_EQ(threshold[1].item<float>(), 0.0f);  // inside of the ball
}

}  // namespace
}  // namespace laconic
