#include "laconic/quant/rounding/rounding.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "laconic/base/variant.h"
#include "laconic/kernel/philox.h"
#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

at::Tensor gradient_of(const Rounding& rounding, const at::Tensor& x,
                       const RoundingState& state = {}) {
  const auto leaf = x.clone().set_requires_grad(true);
  apply_rounding(rounding, leaf, state).sum().backward();
  return leaf.grad();
}

TEST(EveryRounding, GivesWholeNumbersWithinOneStepAndKeepsWholeOnes) {
  const auto x = at::cat({at::linspace(-3, 3, 61), at::tensor({0.49999997F, 8388609.0F, -0.5F})});
  const auto whole = at::arange(-5, 6).to(at::kFloat);
  const auto nan = at::full({1}, std::numeric_limits<float>::quiet_NaN());
  for_each_part<Rounding>([&](auto kind) {
    SCOPED_TRACE(std::string(kind.kName));
    const auto code = apply_rounding(kind, x);
    EXPECT_TRUE(at::equal(code, code.round()));
    EXPECT_LE((code - x).abs().max().template item<double>(), 1.0);
    EXPECT_TRUE(at::equal(apply_rounding(kind, whole), whole));
    EXPECT_TRUE(apply_rounding(kind, nan).isnan().all().template item<bool>());
    const auto wide = apply_rounding(kind, x.to(at::kDouble));
    EXPECT_EQ(wide.scalar_type(), at::kDouble);
  });
}

TEST(EveryRounding, PassesTheGradientButForSurrogates) {
  const auto x = at::linspace(-3, 3, 61);
  for_each_part<Rounding>([&](auto kind) {
    SCOPED_TRACE(std::string(kind.kName));
    using Kind = decltype(kind);
    const auto slope = gradient_of(kind, x);
    if constexpr (std::is_same_v<Kind, TanhSurrogate> || std::is_same_v<Kind, FourierSurrogate>) {
      EXPECT_TRUE(at::equal(slope, rounding_slope(kind, x)));
      EXPECT_FALSE(at::allclose(slope, at::ones_like(x)));
    } else {
      EXPECT_TRUE(at::equal(slope, at::ones_like(x)));
    }
  });
}

TEST(EveryRounding, ReadsBackFromYaml) {
  for_each_part<Rounding>([](auto kind) {
    const auto spec = QuantSpec{}.let(Rounding(kind));
    EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test"), spec) << to_yaml(spec);
  });
  const auto spec = QuantSpec{}.let(Rounding(Stochastic{.seed = -7, .only_in_training = true}));
  EXPECT_EQ(quant_spec_from_yaml("{rounding: stochastic, seed: -7, only_in_training: true}", "t"),
            spec);
}

TEST(HalfAway, MovesOnlyTiesAwayFromZero) {
  const auto x =
      at::tensor({0.5F, -0.5F, 1.5F, -2.5F, 0.49999997F, -0.49999997F, 2.4F, 8388609.0F});
  EXPECT_TRUE(at::equal(apply_rounding(HalfAway{}, x),
                        at::tensor({1.0F, -1.0F, 2.0F, -3.0F, 0.0F, -0.0F, 2.0F, 8388609.0F})));
}

TEST(Philox, GivesTheKnownAnswersOfThePaper) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(kernel::philox({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(kernel::philox({ones, ones, ones, ones}, {ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      kernel::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Stochastic, IsTheSameOnAnyNumberOfThreadsAndForAnyLayout) {
  const auto x = at::randn({311, 257}) * 5;
  const Rounding rounding = Stochastic{.seed = 3};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = apply_rounding(rounding, x);
  at::set_num_threads(4);
  const auto four = apply_rounding(rounding, x);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one, four));
  EXPECT_TRUE(at::equal(one, apply_rounding(rounding, x.t().contiguous().t())));
  EXPECT_FALSE(at::equal(one, apply_rounding(Stochastic{.seed = 4}, x)));
  RoundingState second;
  second.draw = at::scalar_tensor(1, at::kLong);
  EXPECT_FALSE(at::equal(one, apply_rounding(rounding, x, second)));
}

TEST(Stochastic, IsRightOnAverage) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    for (const double number : {0.1, 0.5, -2.75, 7.0}) {
      const int64_t count = 1 << 20;
      const auto code = apply_rounding(Stochastic{}, at::full({count}, number).to(dtype));
      // Four standard deviations of the mean of so many draws.
      EXPECT_NEAR(code.mean().item<double>(), number, 4 * 0.5 / std::sqrt(count));
    }
  }
}

TEST(Stochastic, OnlyInTrainingRoundsHalfToEvenElse) {
  const auto x = at::randn({1000}) * 5;
  const Rounding rounding = Stochastic{.only_in_training = true};
  EXPECT_TRUE(at::equal(apply_rounding(rounding, x), x.round()));
  RoundingState training{.is_training = true};
  EXPECT_TRUE(at::equal(apply_rounding(rounding, x, training), apply_rounding(Stochastic{}, x)));
}

TEST(GaussianNoise, HasTheSharesOfARoundedNormalNumberAndTheScaleGetsItsGradient) {
  const int64_t count = 1 << 20;
  const auto zero = at::zeros({count});
  const auto noise = apply_rounding(GaussianNoise{}, zero, {.is_training = true});
  const auto share = [&](double size) {
    return noise.abs().eq(size).to(at::kDouble).mean().item<double>();
  };
  EXPECT_NEAR(share(0), 0.6827, 0.002);
  EXPECT_NEAR(share(1), 0.3146, 0.002);
  EXPECT_NEAR(1 - share(0) - share(1), 0.0027, 0.0003);
  EXPECT_NEAR(noise.mean().item<double>(), 0, 0.003);

  // value = x + noise * scale
  const auto x = at::linspace(-3, 3, 4096), scale = at::full({}, 0.5).set_requires_grad(true);
  QuantParameters parameters{scale, {}, {.is_training = true}};
  const auto spec = QuantSpec{}.let(Rounding(GaussianNoise{}));
  const auto value = fake_quantize(spec, x, parameters);
  value.sum().backward();
  const auto steps = (value.detach() - x) / 0.5;
  EXPECT_TRUE(at::allclose(steps, steps.round(), 0, 1e-5));
  EXPECT_NEAR(scale.grad().item<double>(), steps.sum().item<double>(), 0.02);
  EXPECT_TRUE(at::equal(fake_quantize(spec, x, {scale.detach(), {}}), (x / 0.5).round() * 0.5));
}

TEST(LearnedRounding, StartsAtNearestLosesNothingInTrainingAndEndsOnANeighbour) {
  at::manual_seed(1);
  const auto x = at::randn({500}) * 3;
  for_each_part<Rounding>([&](auto kind) {
    if constexpr (requires { first_value(kind, x); }) {
      SCOPED_TRACE(std::string(kind.kName));
      auto state = make_rounding_state(kind, x);
      EXPECT_EQ(state_tensors(state).size(), 1U);
      EXPECT_TRUE(at::equal(apply_rounding(kind, x, state), x.round()));
      state.is_training = true;
      if constexpr (std::is_same_v<decltype(kind), LearnedHardSigmoid>) {
        EXPECT_TRUE(at::allclose(apply_rounding(kind, x, state), x, 0, 1e-5));
      }
      state.value = (at::randn({500}) * 9).set_requires_grad(true);
      apply_rounding(kind, x, state).sum().backward();
      EXPECT_TRUE(state.value.grad().ne(0).any().template item<bool>());
      EXPECT_TRUE(at::equal(gradient_of(kind, x, state), at::ones_like(x)));
      state.is_training = false;
      const auto code = apply_rounding(kind, x, state);
      EXPECT_TRUE(code.eq(x.floor()).logical_or(code.eq(x.ceil())).all().template item<bool>());
    }
  });
}

TEST(LearnedRounding, IsUsedByTheQuantizerInTheShapeOfTheTensor) {
  const auto x = at::randn({4, 10});
  const auto spec =
      QuantSpec{}.let(IntFormat{.bit_width = 4}, PerGroup{.axis = 1, .group_size = 4, .pad = true},
                      Rounding(LearnedHardSigmoid{}));
  auto parameters = find_parameters(spec, x);
  const auto nearest = fake_quantize(spec, x, parameters);
  parameters.rounding.value = at::full({4, 10}, -9.0);
  const auto lower = fake_quantize(spec, x, parameters);
  EXPECT_TRUE(lower.le(x + 1e-6).all().item<bool>());
  EXPECT_TRUE(at::equal(dequantize(spec, quantize_codes(spec, x, parameters), parameters), lower));
  EXPECT_FALSE(at::equal(lower, nearest));
  expect_error<c10::ValueError>(
      [&] { apply_rounding(LearnedOffset{}, x, {.value = at::zeros({3})}); },
      {"learned_offset", "[4, 10]", "[3]"});
}

TEST(Surrogate, HasTheSlopeOfItsFormulaAndTanhRisesByOneAStep) {
  const auto x = at::linspace(-0.4999, 0.4999, 101, at::kDouble) + 3;
  const auto d = x - 3;
  EXPECT_TRUE(at::allclose(gradient_of(FourierSurrogate{}, x),
                           2 / (1 + 0.93 * (M_PI * (x + x.round())).cos()) - 1));
  const auto from_middle = d + 0.5 - (d > -0.0).to(at::kDouble);  // the middle is at 3.5 and 2.5
  const auto soft = (5 * from_middle).tanh() / (2 * std::tanh(2.5));
  const auto slope = gradient_of(TanhSurrogate{}, x);
  EXPECT_TRUE(
      at::allclose(slope, 5 * (1 - (5 * from_middle).tanh().square()) / (2 * std::tanh(2.5))));
  EXPECT_NEAR(slope.mean().item<double>(), 1, 0.02);
  EXPECT_LT(soft.abs().max().item<double>(), 0.5001);
}

TEST(CustomRounding, MayHaveASlope) {
  const CustomRounding twice{
      "twice",
      {{"factor", 2}},
      [](const CustomParameters&, const at::Tensor& code) { return code.round(); },
      [](const CustomParameters& numbers, const at::Tensor& code) {
        return at::full_like(code, numbers.at("factor"));
      }};
  const auto x = at::randn({20});
  EXPECT_TRUE(at::equal(gradient_of(twice.with("factor", 3), x), at::full_like(x, 3)));
  CustomRounding plain = twice;
  plain.slope = nullptr;
  EXPECT_TRUE(at::equal(gradient_of(plain, x), at::ones_like(x)));
}

TEST(CheckRounding, RefusesNumbersThatCannotBe) {
  const auto build = [](const Rounding& rounding) { return [=] { QuantSpec{}.let(rounding); }; };
  expect_error<c10::ValueError>(build(LearnedHardSigmoid{.stretch_low = 0}), {"stretch_low", "0"});
  expect_error<c10::ValueError>(build(LearnedSigmoid{.temperature = 0}), {"temperature", "0"});
  expect_error<c10::ValueError>(build(TanhSurrogate{.sharpness = -1}), {"sharpness", "-1"});
  expect_error<c10::ValueError>(build(FourierSurrogate{.amplitude = 1}), {"amplitude", "1"});
}

}  // namespace
}  // namespace laconic
