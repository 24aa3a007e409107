#include "laconic/solve/autoround/autoround.h"

#include <nlohmann/json.hpp>
#include <set>

#include "laconic/calibrate/fidelity.h"
#include "laconic/solve/autoround/offsets.h"
#include "laconic/solve/learned/neighbours.h"
#include "tests/solve/toy_block.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::asymmetric;
using laconic::testing::correlated_inputs;
using laconic::testing::expect_error;
using laconic::testing::float_specs;
using laconic::testing::int_spec;
using laconic::testing::kToyFeatures;
using laconic::testing::some_specs;
using laconic::testing::ToyBlock;

autoround::AutoRoundOptions offset_steps(int64_t count) {
  autoround::AutoRoundOptions options;
  options.loop.steps = count;
  options.loop.batch = 4;
  return options;
}

std::vector<QuantSpec> all_specs() {
  auto specs = some_specs();
  for (const QuantSpec& spec : float_specs()) specs.push_back(spec);
  return specs;
}

TEST(AutoRound, WithoutStepsRoundsToNearest) {
  for (const QuantSpec& spec : all_specs()) {
    SCOPED_TRACE(to_string(spec));
    const ToyBlock toy(spec);
    const auto solved = autoround::solve_block(toy.problem, offset_steps(0));
    const auto nearest = toy.nearest();
    for (size_t i = 0; i < nearest.size(); ++i) {
      EXPECT_TRUE(at::equal(solved[i].codes, nearest[i].codes));
      EXPECT_TRUE(at::equal(solved[i].parameters.scale, nearest[i].parameters.scale));
    }
  }
}

TEST(AutoRound, LowersTheErrorOfABlockInFewBits) {
  for (const QuantSpec& spec : all_specs()) {
    SCOPED_TRACE(to_string(spec));
    const ToyBlock toy(spec);
    const double nearest = toy.loss(toy.nearest());
    // Of nearest when this was written: integers 0.29 to 0.56, others 0.5 to 0.81, which have most
    // of their elements where most weights are.
    const double most = std::holds_alternative<IntFormat>(spec.format) ? 0.65 : 0.88;
    EXPECT_LT(toy.loss(autoround::solve_block(toy.problem, offset_steps(200))), most * nearest);
  }
}

TEST(AutoRound, IsNeverWorseThanNearestOnTheBlocksWindows) {
  for (const QuantSpec& spec : all_specs()) {
    SCOPED_TRACE(to_string(spec));
    const ToyBlock toy(spec);
    // Steps that are far too long, which only make it worse.
    autoround::AutoRoundOptions options = offset_steps(3);
    options.rate = options.clip_rate = 1;
    EXPECT_LE(toy.loss(autoround::solve_block(toy.problem, options)), toy.loss(toy.nearest()));
  }
}

TEST(AutoRound, TakesOneOfTheTwoElementsAroundAWeightWhereTheRangeStays) {
  for (const QuantSpec& spec : float_specs()) {
    SCOPED_TRACE(to_string(spec));
    const ToyBlock toy(spec);
    autoround::AutoRoundOptions options = offset_steps(100);
    options.learns_clip = false;
    const LayerSolution solved = autoround::solve_block(toy.problem, options)[0];
    const auto scale = solved.parameters.scale;
    const auto real = grouped(toy.problem.layers[0].weight, spec.granularity) / scale;
    const auto value = dequantize(spec, solved.codes, solved.parameters);
    const auto element = grouped(value, spec.granularity) / scale;
    const auto around = learned_rounding::neighbours_in_table(spec.format, real);
    const auto off = at::minimum((element - around.low).abs(), (element - around.high).abs());
    EXPECT_LT((off / (1 + element.abs())).max().item<double>(), 1e-6);
    EXPECT_FALSE(at::equal(solved.codes, toy.nearest()[0].codes));
  }
}

TEST(AutoRound, LearnsUnderScalesThatAreNegative) {
  QuantSpec spec = int_spec(3, PerGroup{.axis = 1, .group_size = 16});
  spec = spec.let(Statistic(SignedAbsMax{}), Restriction(SignedFloat{}), Threshold::kFullRange);
  const ToyBlock toy(spec);
  autoround::AutoRoundOptions options = offset_steps(200);
  options.learns_clip = false;
  EXPECT_LT(toy.nearest()[0].parameters.scale.min().item<double>(), 0);
  EXPECT_LT(toy.loss(autoround::solve_block(toy.problem, options)), 0.8 * toy.loss(toy.nearest()));
}

TEST(AutoRound, SameSeedGivesTheSameCodesAnotherOneOthers) {
  const ToyBlock toy(some_specs().front());
  autoround::AutoRoundOptions options = offset_steps(20);
  const auto first = autoround::solve_block(toy.problem, options);
  const auto again = autoround::solve_block(toy.problem, options);
  options.loop.seed = 1;
  const auto other = autoround::solve_block(toy.problem, options);
  EXPECT_TRUE(at::equal(first[0].codes, again[0].codes));
  EXPECT_TRUE(at::equal(first[1].parameters.scale, again[1].parameters.scale));
  EXPECT_FALSE(at::equal(first[0].codes, other[0].codes));
}

TEST(AutoRound, MovesNoCodeByMoreThanOneWhereTheRangeStays) {
  const ToyBlock toy(int_spec(4, PerChannel{0}));
  autoround::AutoRoundOptions options = offset_steps(100);
  options.learns_clip = false;
  const auto solved = autoround::solve_block(toy.problem, options);
  const auto moved = (solved[0].codes - toy.nearest()[0].codes).abs();
  EXPECT_EQ(moved.max().item<int64_t>(), 1);
}

TEST(AutoRound, LayerAloneHasLessOutputErrorThanNearest) {
  const at::Tensor x = correlated_inputs(256, kToyFeatures);
  LayerProblem problem{.name = "layer",
                       .weight = at::randn({24, kToyFeatures}),
                       .spec = int_spec(3, PerChannel{0}),
                       .hessian = x.t().matmul(x) / 256,
                       .importance = {}};
  const auto error = [&](const LayerSolution& solution) {
    const auto quantized = dequantize(problem.spec, solution.codes, solution.parameters);
    return relative_output_error(problem.weight, quantized, problem.hessian);
  };
  const double nearest = error(find_solver("nearest").solve(problem, nlohmann::json::object()));
  EXPECT_LT(error(autoround::solve(problem, offset_steps(200))), 0.6 * nearest);
}

/// Q(w) with gradients of plain operations, roundings passed straight through.
at::Tensor plain_quantized(const at::Tensor& weight, const at::Tensor& offset,
                           const at::Tensor& high, const at::Tensor& low, int64_t codes) {
  const auto rounded = [](const at::Tensor& x) { return x + (x.round() - x).detach(); };
  const auto view = weight.view({weight.size(0), -1, 16});
  const auto top = view.amax(-1, true).clamp_min(0) * high.view({weight.size(0), -1, 1});
  const auto bottom = view.amin(-1, true).clamp_max(0) * low.view({weight.size(0), -1, 1});
  const auto scale = (top - bottom) / (codes - 1);
  const auto zero_point = rounded(-bottom / scale);
  const auto code = rounded(view / scale + zero_point + offset).clamp(0, codes - 1);
  return ((code - zero_point) * scale).view_as(weight);
}

TEST(AutoRoundOffsets, StepAgainstTheGradientOfThePlainFormula) {
  at::manual_seed(9);
  const LayerProblem problem{.name = "layer",
                             .weight = at::randn({8, 32}),
                             .spec = asymmetric(2),
                             .hessian = {},
                             .importance = {}};
  const double rate = 1.0 / 64;
  autoround::Offsets offsets(problem, {{.steps = 1, .start = rate}, {.steps = 1, .start = rate}});
  const at::Tensor value = offsets.weight(), gradient = at::randn({8, 32});
  offsets.step(gradient, 0);
  const auto offset = at::zeros({8, 2, 16}).requires_grad_();
  const auto high = at::ones({16}).requires_grad_(), low = at::ones({16}).requires_grad_();
  const auto plain = plain_quantized(problem.weight, offset, high, low, 4);
  EXPECT_TRUE(at::allclose(plain, value, 1e-5, 1e-6));
  (plain * gradient).sum().backward();
  const auto state = offsets.state();
  EXPECT_TRUE(at::equal(state[0], -rate * offset.grad().sign()));
  EXPECT_TRUE(at::allclose(state[1], 1 - rate * high.grad().sign()));
  EXPECT_TRUE(at::allclose(state[2], 1 - rate * low.grad().sign()));
}

TEST(AutoRound, RefusesElementsThatAreNotTheNearestOnes) {
  QuantSpec spec = int_spec(2, PerChannel{0});
  spec.format = TernaryFormat{.threshold = 0.3};
  const ToyBlock toy(spec);
  expect_error<c10::ValueError>([&] { autoround::solve_block(toy.problem, offset_steps(1)); },
                                {"[autoround]", "layer a", "nearest", "ternary over 0.3"});
}

TEST(Neighbours, AreTheSameInClosedFormAsInTheTableOfNumbers) {
  at::manual_seed(5);
  for (const Format& format : {Format(e2m1()), Format(e2m3()), Format(e3m2()), Format(e4m3()),
                               Format(e5m2()), Format(IntFormat{4})}) {
    SCOPED_TRACE(describe(format));
    const double end = element_range(format).high;
    // Elements themselves, numbers of all sizes, and some beyond the ends.
    std::vector<double> numbers = values(format);
    std::erase_if(numbers, [](double number) { return !std::isfinite(number); });
    const auto size = at::exp2(at::rand({2000}) * 24 - 20) * end;
    const auto real = at::cat({at::tensor(numbers).to(at::kFloat), size, -size, at::zeros({1})});
    const auto fast = learned_rounding::neighbours(format, real);
    const auto plain = learned_rounding::neighbours_in_table(format, real);
    // A negative element may be the upper one of two as well as the lower one.
    const auto is_element = plain.low.eq(real);
    EXPECT_TRUE(
        at::equal(fast.low.masked_select(~is_element), plain.low.masked_select(~is_element)));
    EXPECT_TRUE(
        at::equal(fast.high.masked_select(~is_element), plain.high.masked_select(~is_element)));
    const auto inside = real.clamp(element_range(format).low, end);
    EXPECT_TRUE(fast.low.le(inside).logical_and(fast.high.ge(inside)).all().item<bool>());
  }
}

TEST(LearnedLoop, NamesTheBlockWhoseLossIsNotFinite) {
  ToyBlock toy(int_spec(4, PerChannel{0}));
  toy.problem.loss = [](const std::vector<int64_t>&, const std::vector<at::Tensor>& weights) {
    return weights[0].sum() / 0.0;
  };
  expect_error<c10::ValueError>([&] { autoround::solve_block(toy.problem, offset_steps(1)); },
                                {"[autoround]", "toy", "loss is NaN or infinite"});
}

TEST(LearnedLoop, DrawsWindowsWithoutRepetition) {
  std::set<std::vector<int64_t>> seen;
  for (int64_t step = 0; step < 50; ++step) {
    const auto drawn = learned_rounding::draw_windows(10, 4, 3, step);
    EXPECT_EQ(std::set<int64_t>(drawn.begin(), drawn.end()).size(), 4u);
    EXPECT_GE(drawn.front(), 0);
    EXPECT_LT(drawn.back(), 10);
    seen.insert(drawn);
  }
  EXPECT_GT(seen.size(), 40u);
  EXPECT_EQ(learned_rounding::draw_windows(3, 8, 0, 0), (std::vector<int64_t>{0, 1, 2}));
}

}  // namespace
}  // namespace laconic
