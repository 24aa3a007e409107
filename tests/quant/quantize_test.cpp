#include "laconic/quant/quantizer/quantize.h"

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

TEST(FindParameters, RoundToNearestMapsTheLargestMagnitudeToTheLargestCode) {
  const auto x = at::tensor({-3.0f, 1.0f, 7.0f, 0.2f}).reshape({1, 4});
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, PerChannel{.axis = 0});
  const auto parameters = find_parameters(spec, x);
  EXPECT_EQ(parameters.scale.item<float>(), 1.0f);
  EXPECT_TRUE(at::equal(quantize_codes(spec, x, parameters),
                        at::tensor({-3, 1, 7, 0}, at::kChar).reshape({1, 4})));
  EXPECT_EQ(find_parameters(spec.let(Threshold::kFullRange), x).scale.item<float>(), 7.0f / 8);
}

TEST(FindParameters, ZeroMapsToACodeExactlyWhenAsymmetric) {
  at::manual_seed(1);
  const auto x = at::randn({4, 64}) + 0.7;
  const auto spec =
      QuantSpec{}.let(IntFormat{.bit_width = 4, .is_signed = false},
                      PerGroup{.axis = 1, .group_size = 16}, MinMax{}, IntegerZeroPoint{});
  const auto parameters = find_parameters(spec, x);
  EXPECT_TRUE(fake_quantize(spec, at::zeros_like(x), parameters).eq(0).all().item<bool>());
  const auto bound = parameters.scale.expand({4, 4, 16}).reshape({4, 64}) * 0.5001;
  const auto error = (fake_quantize(spec, x, parameters) - x).abs();
  // Half a step inside, and the zero point's own rounding may clip by half a step more.
  EXPECT_TRUE(error.le(bound * 2).all().item<bool>());
}

TEST(FindParameters, MseIsNeverWorseThanItsStartAndObeysImportance) {
  at::manual_seed(2);
  auto x = at::randn({8, 128});
  x.select(1, 5).mul_(12);
  const auto absmax = QuantSpec{}.let(IntFormat{.bit_width = 3}, PerChannel{.axis = 0});
  const auto mse = absmax.let(Mse{.grid_points = 100});
  const auto error = [&](const QuantSpec& spec, const at::Tensor& importance,
                         const at::Tensor& weight) {
    return ((fake_quantize(spec, x, find_parameters(spec, x, importance)) - x).square() * weight)
        .sum()
        .item<double>();
  };
  const auto ones = at::ones({128});
  EXPECT_LT(error(mse, {}, ones), error(absmax, {}, ones));
  auto importance = at::ones({128});
  importance[5] = 1000;
  EXPECT_LT(error(mse, importance, importance), error(mse, {}, importance));
}

TEST(FindParameters, APaddedLastGroupIsItsOwn) {
  const auto x = at::arange(1, 11, at::kFloat).reshape({1, 10});
  const auto spec = QuantSpec{}.let(PerGroup{.axis = 1, .group_size = 4, .pad = true});
  const auto parameters = find_parameters(spec, x);
  EXPECT_EQ(parameters.scale.sizes(), at::IntArrayRef({1, 3, 1}));
  EXPECT_FLOAT_EQ(parameters.scale[0][2][0].item<float>(), 10.0f / 127);
  EXPECT_EQ(fake_quantize(spec, x, parameters).sizes(), x.sizes());
}

TEST(FindParameters, GroupsOfAnyAxisShareWhatTheyShould) {
  const auto x = at::randn({12, 5, 7});
  const auto first = QuantSpec{}.let(PerGroup{.axis = 0, .group_size = 3});
  const auto parameters = find_parameters(first, x);
  EXPECT_EQ(parameters.scale.sizes(), at::IntArrayRef({4, 1, 5, 7}));
  const auto by_hand = x.reshape({4, 3, 5, 7}).abs().amax(1, true) / 127;
  EXPECT_TRUE(at::equal(parameters.scale, by_hand));
}

TEST(PerGroup, GroupSizeThatDoesNotDivideTheAxisIsRejected) {
  const auto spec = QuantSpec{}.let(PerGroup{.axis = 1, .group_size = 32});
  expect_error<c10::ValueError>(
      [&] {
        find_parameters(spec, at::ones({64, 100}));
      },
      {"[PerGroup]", "multiple of", "32", "[64, 100]"});
  expect_error<c10::ValueError>([&] { find_parameters(spec, at::ones({64})); },
                                {"[PerGroup]", "axis 1"});
}

TEST(FindParameters, RefusesNaNAndInfinity) {
  auto x = at::ones({4, 4});
  x[1][2] = std::numeric_limits<float>::quiet_NaN();
  x[3][3] = std::numeric_limits<float>::infinity();
  expect_error<c10::ValueError>([&] { find_parameters(QuantSpec{}, x); },
                                {"NaN or infinity", "2 of 16"});
}

TEST(FindParameters, SurvivesEmptyZeroAndDenormalTensors) {
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, PerChannel{.axis = 0});
  EXPECT_EQ(fake_quantize_dynamic(spec, at::ones({0, 4})).numel(), 0);
  EXPECT_TRUE(fake_quantize_dynamic(spec, at::zeros({3, 4})).eq(0).all().item<bool>());
  const auto tiny = at::full({3, 4}, 1e-42);
  EXPECT_TRUE(fake_quantize_dynamic(spec, tiny).isfinite().all().item<bool>());
  const auto half = spec.let(StoredAs{});
  const auto parameters = find_parameters(half, at::full({1, 4}, 1e-9));
  EXPECT_GT(parameters.scale.item<float>(), 0);
  EXPECT_TRUE(find_parameters(half, at::full({1, 4}, 1e9)).scale.isfinite().all().item<bool>());
}

TEST(StoredAs, ScalesAreNumbersOfTheDtype) {
  const auto x = at::randn({16, 64});
  const auto spec =
      QuantSpec{}.let(IntFormat{.bit_width = 4}, PerGroup{.axis = 1, .group_size = 32}, StoredAs{});
  const auto scale = find_parameters(spec, x).scale;
  EXPECT_TRUE(at::equal(scale.to(at::kHalf).to(at::kFloat), scale));
}

TEST(FakeQuantize, GradientsReachInputScaleAndZeroPoint) {
  auto spec = QuantSpec{}.let(IntFormat{.bit_width = 3, .is_signed = false}, MinMax{},
                              FloatZeroPoint{}, Clipped{});
  const auto x = at::tensor({-0.4, 0.3, 0.9, 5.0}).set_requires_grad(true);
  QuantParameters parameters{at::tensor(0.25).set_requires_grad(true),
                             at::tensor(1.0).set_requires_grad(true)};
  fake_quantize(spec, x, parameters).sum().backward();
  // Inside: dy/dx = 1, dy/ds = q - z - x/s, dy/dz = 0; outside: 0, q - z, -s.
  EXPECT_TRUE(at::allclose(x.grad(), at::tensor({0.0, 1.0, 1.0, 0.0})));  // -0.4 is below the range
  const double q0 = 0, q1 = 2, q2 = 5, q3 = 7;
  EXPECT_NEAR(parameters.zero_point.grad().item<double>(), -0.25 * 2, 1e-6);
  EXPECT_NEAR(parameters.scale.grad().item<double>(),
              (q0 - 1) + (q1 - 1 - 0.3 / 0.25) + (q2 - 1 - 0.9 / 0.25) + (q3 - 1), 1e-5);
}

TEST(FakeQuantize, EveryTokenHasItsOwnScale) {
  const auto x = at::randn({2, 3, 8});
  const auto spec = QuantSpec{}.let(PerToken{});
  EXPECT_EQ(find_parameters(spec, x).scale.sizes(), at::IntArrayRef({2, 3, 1}));
}

}  // namespace
}  // namespace laconic
