#include "laconic/solve/gptq/gptq.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>

#include "laconic/calibrate/fidelity.h"
#include "laconic/solve/gptq/reference.h"
#include "laconic/solve/nearest/nearest.h"
#include "tests/solve/problems.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using gptq::GptqOptions;
using gptq::GroupScales;
using laconic::testing::correlated_inputs;
using laconic::testing::expect_error;
using laconic::testing::int_spec;
using laconic::testing::share_of_different;
using ::testing::HasSubstr;

constexpr int64_t kRows = 70, kColumns = 128;  // rows: one whole panel and a rest

LayerProblem correlated_problem(const QuantSpec& spec, int64_t columns = kColumns) {
  const at::Tensor x = correlated_inputs(4 * columns, columns);
  at::manual_seed(11);
  return {.name = "layer",
          .weight = at::randn({kRows, columns}),
          .spec = spec,
          .hessian = x.t().matmul(x) / x.size(0),
          .importance = {}};
}

double error_of(const LayerProblem& problem, const LayerSolution& solution) {
  return relative_output_error(problem.weight,
                               dequantize(problem.spec, solution.codes, solution.parameters),
                               problem.hessian);
}

/// Every kind of scale that a weight can have.
std::vector<QuantSpec> every_spec() {
  std::vector<QuantSpec> specs;
  for (const Granularity& granularity :
       {Granularity(PerTensor{}), Granularity(PerChannel{0}), Granularity(PerChannel{1}),
        Granularity(PerGroup{1, 32}),
        Granularity(PerGroup{.axis = 1, .group_size = 48, .pad = true})}) {
    specs.push_back(int_spec(4, granularity));
    QuantSpec asymmetric = int_spec(3, granularity);
    asymmetric.format = IntFormat{.bit_width = 3, .is_signed = false};
    asymmetric.scale = StatisticScale{{.statistic = MinMax{}}};
    asymmetric.zero_point = IntegerZeroPoint{};
    specs.push_back(asymmetric);
  }
  QuantSpec stored = int_spec(4, PerGroup{1, 32});
  stored.scale =
      StatisticScale{{.statistic = AbsMax{}, .restriction = StoredAs{c10::ScalarType::Half}}};
  specs.push_back(stored);
  specs.push_back(int_spec(8, PerChannel{0}));
  return specs;
}

TEST(Gptq, EqualsTheReferenceForEverySpecAndOption) {
  for (const QuantSpec& spec : every_spec()) {
    for (const GptqOptions& options : {GptqOptions{}, GptqOptions{.activation_order = true},
                                       GptqOptions{.group_scales = GroupScales::kDuring}}) {
      SCOPED_TRACE(to_string(spec));
      const LayerProblem problem = correlated_problem(spec);
      const LayerSolution fast = gptq::solve(problem, options),
                          slow = gptq::solve_reference(problem, options);
      EXPECT_EQ(fast.codes.scalar_type(), slow.codes.scalar_type());
      // A weight near the middle of two codes may fall either way in float32, and all after it in
      // its row follow.
      EXPECT_LE(share_of_different(fast.codes, slow.codes), 0.02);
      EXPECT_NEAR(error_of(problem, fast) / error_of(problem, slow), 1.0, 0.01);
    }
  }
}

TEST(Gptq, WithTheIdentityAsHessianIsRoundToNearest) {
  for (const QuantSpec& spec : every_spec()) {
    for (const GptqOptions& options : {GptqOptions{}, GptqOptions{.activation_order = true},
                                       GptqOptions{.group_scales = GroupScales::kDuring}}) {
      SCOPED_TRACE(to_string(spec));
      LayerProblem problem = correlated_problem(spec);
      problem.hessian = at::eye(kColumns);
      const LayerSolution solved = gptq::solve(problem, options),
                          nearest = nearest::solve(problem, {});
      EXPECT_TRUE(at::equal(solved.codes, nearest.codes));
      EXPECT_TRUE(at::equal(solved.parameters.scale, nearest.parameters.scale));
    }
  }
}

TEST(Gptq, BlockSizeChangesNothing) {
  const LayerProblem problem = correlated_problem(int_spec(4, PerGroup{1, 32}));
  const LayerSolution expected = gptq::solve(problem, {.block_size = 128});
  for (const int64_t block_size : {1, 7, 32, 100, 1000}) {
    EXPECT_TRUE(at::equal(gptq::solve(problem, {.block_size = block_size}).codes, expected.codes))
        << block_size;
  }
}

TEST(Gptq, NumberOfThreadsChangesNothing) {
  const LayerProblem problem = correlated_problem(int_spec(3, PerChannel{0}), 320);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const LayerSolution one = gptq::solve(problem, {});
  at::set_num_threads(3);
  const LayerSolution three = gptq::solve(problem, {});
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.codes, three.codes));
}

TEST(Gptq, OfTwoColumnsFollowsTheClosedForm) {
  // The first weight goes to its nearest code; the second is then best at w_2 + (w_1 - q_1) H_12 /
  // H_22.
  LayerProblem problem{.name = "two",
                       .weight = at::tensor({1.4f, 2.3f, -2.6f, 0.9f}).view({2, 2}),
                       .spec = {},
                       .hessian = at::tensor({2.0f, 1.5f, 1.5f, 3.0f}).view({2, 2}),
                       .importance = {}};
  problem.spec = int_spec(4, PerTensor{});
  problem.parameters = QuantParameters{at::scalar_tensor(1.0), {}};
  const LayerSolution solved = gptq::solve(problem, {.damping = 0});
  // Row 1: 1.4 -> 1, then 2.3 + 0.4 * 0.5 = 2.5 -> 2 (ties to even); row 2: -2.6 -> -3, then 0.9 +
  // 0.4 * 0.5 -> 1.
  EXPECT_TRUE(
      at::equal(solved.codes.to(at::kLong), at::tensor({1, 2, -3, 1}, at::kLong).view({2, 2})));
  problem.weight = at::tensor({1.4f, 2.31f, -2.6f, 0.2f}).view({2, 2});
  EXPECT_TRUE(at::equal(gptq::solve(problem, {.damping = 0}).codes.to(at::kLong),
                        at::tensor({1, 3, -3, 0}, at::kLong).view({2, 2})));
}

TEST(Gptq, BeatsRoundToNearestByTheHessian) {
  for (const int64_t bits : {2, 3, 4}) {
    for (const Granularity& granularity :
         {Granularity(PerTensor{}), Granularity(PerChannel{0}), Granularity(PerGroup{1, 32})}) {
      const LayerProblem problem = correlated_problem(int_spec(bits, granularity));
      const LayerSolution solved = gptq::solve(problem, {}), nearest = nearest::solve(problem, {});
      EXPECT_GT(share_of_different(solved.codes, nearest.codes), 0.05);  // it does change something
      EXPECT_LT(error_of(problem, solved), 0.8 * error_of(problem, nearest)) << bits;
    }
  }
}

TEST(Gptq, LiveScalesAreNoBetterThanScalesFoundBefore) {
  const LayerProblem problem = correlated_problem(int_spec(4, PerGroup{1, 32}));
  const double live = error_of(problem, gptq::solve(problem, {.group_scales = GroupScales::kLive}));
  EXPECT_GT(live, error_of(problem, gptq::solve(problem, {})));
}

TEST(Gptq, FrozenParametersAreKept) {
  LayerProblem problem = correlated_problem(int_spec(4, PerGroup{1, 32}));
  const LayerSolution found = nearest::solve(problem, {});
  problem.parameters = QuantParameters{found.parameters.scale * 1.25, {}};
  for (const auto scales : {GroupScales::kBefore, GroupScales::kDuring, GroupScales::kLive}) {
    EXPECT_TRUE(at::equal(gptq::solve(problem, {.group_scales = scales}).parameters.scale,
                          problem.parameters->scale));
  }
}

TEST(Gptq, ScalesFoundDuringComeFromTheUpdatedWeights) {
  const LayerProblem problem = correlated_problem(int_spec(4, PerGroup{1, 32}));
  const at::Tensor before = gptq::solve(problem, {}).parameters.scale;
  const at::Tensor during =
      gptq::solve(problem, {.group_scales = GroupScales::kDuring}).parameters.scale;
  EXPECT_TRUE(at::equal(before.select(1, 0), during.select(1, 0)));
  EXPECT_GT(share_of_different(before.narrow(1, 1, 3), during.narrow(1, 1, 3)), 0.9);
}

TEST(Gptq, WeightsOfInputsThatAreAlwaysZeroBecomeZero) {
  LayerProblem problem = correlated_problem(int_spec(4, PerChannel{0}));
  problem.hessian.select(0, 5).zero_();
  problem.hessian.select(1, 5).zero_();
  const LayerSolution solved = gptq::solve(problem, {});
  EXPECT_EQ(solved.codes.select(1, 5).abs().sum().item<int64_t>(), 0);
  ASSERT_EQ(solved.notes.size(), 1u);
  EXPECT_THAT(solved.notes[0], HasSubstr("1 of 128 inputs are always zero"));
}

TEST(Gptq, AnAllZeroHessianGivesZeroWeights) {
  LayerProblem problem = correlated_problem(int_spec(4, PerGroup{1, 32}));
  problem.hessian.zero_();
  EXPECT_EQ(gptq::solve(problem, {}).codes.abs().sum().item<int64_t>(), 0);
}

TEST(Gptq, DampingGrowsUntilTheFactorisationHolds) {
  LayerProblem problem = correlated_problem(int_spec(4, PerChannel{0}));
  problem.hessian = at::ones({kColumns, kColumns});  // rank one
  const LayerSolution solved = gptq::solve(problem, {.damping = 0});
  ASSERT_EQ(solved.notes.size(), 1u);
  EXPECT_THAT(solved.notes[0], HasSubstr("damping raised from 0 to 0.01"));
  problem.hessian =
      at::ones({kColumns, kColumns}) * -0.5 + at::eye(kColumns) * 1.5;  // not even positive
  EXPECT_THAT(gptq::solve(problem, {}).notes.at(0), HasSubstr("damping raised from 0.01 to 100"));
}

TEST(Gptq, TinyAndHugeHessiansGiveTheSameCodes) {
  LayerProblem problem = correlated_problem(int_spec(4, PerChannel{0}));
  const at::Tensor expected = gptq::solve(problem, {}).codes, hessian = problem.hessian;
  for (const double factor : {std::pow(2.0, -100), std::pow(2.0, 100)}) {
    problem.hessian = hessian * factor;
    EXPECT_TRUE(at::equal(gptq::solve(problem, {}).codes, expected)) << factor;
  }
}

TEST(Gptq, NotFiniteInputsAreNamed) {
  LayerProblem problem = correlated_problem(int_spec(4, PerChannel{0}));
  problem.name = "model.layers.3.mlp.up_proj";
  problem.hessian[3][4] = std::nan("");
  expect_error<c10::ValueError>([&] { gptq::solve(problem, {}); },
                                {"model.layers.3.mlp.up_proj", "Hessian", "NaN"});
  problem.hessian = at::eye(kColumns);
  problem.weight[1][1] = INFINITY;
  expect_error<c10::ValueError>([&] { gptq::solve(problem, {}); },
                                {"model.layers.3.mlp.up_proj", "weight"});
}

TEST(Gptq, ProblemsThatDoNotFitAreRefused) {
  LayerProblem problem = correlated_problem(int_spec(4, PerChannel{0}));
  problem.hessian = at::eye(kColumns - 1);
  expect_error<c10::ValueError>([&] { gptq::solve(problem, {}); },
                                {"layer", "[128, 128]", "[127, 127]"});
  problem.hessian = -at::eye(kColumns);
  expect_error<c10::ValueError>([&] { gptq::solve(problem, {}); }, {"layer", "negative diagonal"});
  problem = correlated_problem(int_spec(4, PerToken{}));
  expect_error<c10::ValueError>([&] { gptq::solve(problem, {}); }, {"per token"});
  problem.weight = problem.weight.to(at::kDouble);
  expect_error<c10::ValueError>([&] { gptq::solve(problem, {}); }, {"float32", "Double"});
  problem.weight = at::zeros({0, 128});
  expect_error<c10::ValueError>([&] { gptq::solve(problem, {}); }, {"with elements"});
}

TEST(Gptq, ARoundingThatItDoesNotDoIsRefused) {
  const auto spec = int_spec(4, PerChannel{0}).let(Floor{});
  expect_error<c10::ValueError>([&] { gptq::solve(correlated_problem(spec), {}); },
                                {"layer", "rounding floor", "half_even", "nearest"});
}

TEST(Gptq, WrongOptionsAreRefusedWithTheRightWord) {
  using nlohmann::json;
  const auto refuses = [](const json& options, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>([&] { gptq::check_options(options); }, words);
  };
  refuses({{"dampnig", 0.1}}, {"dampnig", "damping"});
  refuses({{"damping", -1}}, {"damping", "-1"});
  refuses({{"damping", "much"}}, {"damping", "much"});
  refuses({{"block_size", 0}}, {"block_size", "0"});
  refuses({{"activation_order", 1}}, {"activation_order", "true or false"});
  refuses({{"group_scales", "beofre"}}, {"beofre", "before"});
  refuses({{"group_scales", 3}}, {"group_scales", "3"});
  refuses({{"activation_order", true}, {"group_scales", "during"}},
          {"exclude each other", "before"});
  refuses(json::array(), {"options", "array"});
}

}  // namespace
}  // namespace laconic
