#include "laconic/quant/gradient/gradient.h"

#include <cmath>

#include "laconic/base/variant.h"
#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

/// Gradients of the sum of an int4 tensor with scale 0.5 (codes -8 to 7) and maybe a zero point.
struct Gradients {
  at::Tensor x, scale;
};
Gradients gradients(const Gradient& gradient, const at::Tensor& x, double zero_point = 0) {
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, gradient);
  const auto leaf = x.clone().set_requires_grad(true);
  const auto scale = at::full({}, 0.5).set_requires_grad(true);
  QuantParameters parameters{scale, {}};
  if (zero_point != 0) parameters.zero_point = at::full({}, zero_point);
  fake_quantize(spec, leaf, parameters).sum().backward();
  return {leaf.grad(), scale.grad().defined() ? scale.grad() : at::zeros({})};
}

at::Tensor codes_of_range() {
  return at::tensor({-6.0, -4.3, -4.1, -1.3, 0.2, 3.3, 3.7, 3.8, 9.0});
}

TEST(EveryGradient, ClampsAlikeAndPassesWholeInsideOfTheRange) {
  const auto low = at::full({}, -2.0), high = at::full({}, 1.0);
  for_each_part<Gradient>([&](auto kind) {
    SCOPED_TRACE(std::string(kind.kName));
    const auto x = at::tensor({-5.0, -1.0, 0.0, 9.0}).set_requires_grad(true);
    const auto y = apply_clamp(kind, x, low, high);
    EXPECT_TRUE(at::equal(y.detach(), x.detach().clamp(-2, 1)));
    y.sum().backward();
    EXPECT_EQ(x.grad()[1].template item<double>(), 1.0);
    EXPECT_EQ(x.grad()[2].template item<double>(), 1.0);
    const auto spec = QuantSpec{}.let(Gradient(kind));
    EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test"), spec) << to_yaml(spec);
    EXPECT_TRUE(at::equal(fake_quantize_dynamic(spec, codes_of_range()),
                          fake_quantize_dynamic(QuantSpec{}, codes_of_range())));
  });
}

TEST(Pact, MovesTheScaleByWhatIsClippedOnly) {
  const auto x = codes_of_range();
  const auto found = gradients(Pact{}, x);
  // 6.0 of the bound is 7 codes: -6 -> -8, 3.8 and 9 -> 7 (3.7 / 0.5 rounds to 7, 3.8 to 8).
  EXPECT_TRUE(at::equal(found.x, at::tensor({0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0})));
  EXPECT_FLOAT_EQ(found.scale.item<float>(), -8 - 8 + 0 + 7 + 7);
  const auto inside = at::tensor({-1.3, 0.2, 2.2});
  EXPECT_EQ(gradients(Pact{}, inside).scale.item<double>(), 0);
  EXPECT_NE(gradients(Clipped{}, inside).scale.item<double>(), 0);
}

TEST(Pact, CountsFromTheZeroPoint) {
  // Codes 7 and -8 lie 4 and -11 steps from zero.
  EXPECT_FLOAT_EQ(gradients(Pact{}, at::tensor({50.0}), 3).scale.item<float>(), 4);
  EXPECT_FLOAT_EQ(gradients(Pact{}, at::tensor({-50.0}), 3).scale.item<float>(), -11);
}

TEST(Lsq, IsClippedWithTheScalesGradientMadeSmaller) {
  const auto x = codes_of_range();
  const auto found = gradients(Lsq{}, x), plain = gradients(Clipped{}, x);
  EXPECT_TRUE(at::equal(found.x, plain.x));
  EXPECT_NEAR(found.scale.item<double>(), plain.scale.item<double>() / std::sqrt(9 * 7), 1e-6);
}

TEST(Lsq, CountsTheElementsOfEachScale) {
  const auto x = at::randn({6, 8});
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, PerChannel{.axis = 0});
  const auto gradient = [&](const Gradient& kind) {
    auto scale = find_parameters(spec, x).scale.detach().set_requires_grad(true);
    fake_quantize(spec.let(kind), x, {scale, {}}).sum().backward();
    return scale.grad();
  };
  EXPECT_TRUE(at::allclose(gradient(Lsq{}), gradient(Clipped{}) / std::sqrt(8 * 7.0)));
}

TEST(MagnitudeAware, FallsWithTheDistanceFromZero) {
  EXPECT_TRUE(at::allclose(
      gradients(MagnitudeAware{}, codes_of_range()).x,
      at::tensor({8 / 12.0, 8 / 8.6, 8 / 8.2, 1.0, 1.0, 1.0, 7 / 7.4, 7 / 7.6, 7 / 18.0})));
  // Four steps over zero of the hundred that 50 is.
  EXPECT_NEAR(gradients(MagnitudeAware{}, at::tensor({50.0}), 3).x.item<double>(), 0.04, 1e-6);
}

TEST(TrustMask, BlocksWhatIsMovedByMoreThanTheTrust) {
  const auto x = codes_of_range();
  EXPECT_TRUE(at::equal(gradients(TrustMask{}, x).x,
                        at::tensor({0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0})));
  EXPECT_TRUE(at::equal(gradients(TrustMask{.trust = 0.65}, x).x,
                        at::tensor({0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0})));
  expect_error<c10::ValueError>([] { QuantSpec{}.let(Gradient(TrustMask{.trust = 0})); },
                                {"trust", "0"});
}

TEST(TrustMask, BlocksTheShareOfNormalNumbersThatThePaperHas) {
  at::manual_seed(1);
  // QuEST: the mid-rise grid of 2^b levels is the zero point 1/2, c the least squares bound.
  const auto x = at::randn({1 << 20});
  const auto share = [&](int64_t bits, double c) {
    const auto spec = QuantSpec{}.let(IntFormat{.bit_width = bits}, Gradient(TrustMask{}));
    const auto leaf = x.clone().set_requires_grad(true);
    const auto step = at::full({}, 2 * c / (std::pow(2, bits) - 1));
    fake_quantize(spec, leaf, {step, at::full({}, -0.5)}).sum().backward();
    return leaf.grad().eq(0).to(at::kDouble).mean().item<double>();
  };
  // Half a step over the largest level: P(|x| > c + step / 2).
  const auto outside = [](int64_t bits, double c) {
    return std::erfc((c + c / (std::pow(2, bits) - 1)) / std::sqrt(2));
  };
  EXPECT_NEAR(share(4, 2.513), outside(4, 2.513), 5e-4);
  EXPECT_NEAR(share(2, 1.494), outside(2, 1.494), 1e-3);
  EXPECT_NEAR(share(4, 2.513), 0.0073, 4e-4);
  EXPECT_NEAR(share(2, 1.494), 0.0464, 1e-3);
}

}  // namespace
}  // namespace laconic
