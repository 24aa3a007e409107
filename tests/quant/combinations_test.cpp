// Properties that hold for every composition of integer quantizers, on every kind of tensor.
#include <limits>

#include "laconic/quant/quantizer/quantize.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

std::vector<Granularity> granularity_kinds() {
  return {PerTensor{},
          PerChannel{.axis = 0},
          PerChannel{.axis = -1},
          PerToken{},
          PerGroup{.axis = 1, .group_size = 4},
          PerGroup{.axis = 0, .group_size = 5, .pad = true},
          PerGroup{.axis = -1, .group_size = 7, .pad = true}};
}

/// Symmetric and asymmetric integers of every width that files hold.
std::vector<QuantSpec> integer_specs() {
  std::vector<QuantSpec> specs;
  for (const Granularity& granularity : granularity_kinds()) {
    for (int64_t bits = 2; bits <= 8; ++bits) {
      for (const bool narrow : {false, true}) {
        for (const bool is_signed : {false, true}) {
          const IntFormat format{bits, is_signed, narrow};
          const auto base = QuantSpec{}.let(format, granularity);
          if (is_signed) specs.push_back(base);
          specs.push_back(base.let(MinMax{}, IntegerZeroPoint{}));
          specs.push_back(base.let(MinMax{}, FloatZeroPoint{}));
        }
      }
    }
  }
  return specs;
}

/// The scale of every element.
at::Tensor steps(const QuantSpec& spec, const at::Tensor& x, const QuantParameters& parameters) {
  const auto view = grouped(x, spec.granularity);
  return ungrouped(parameters.scale.expand_as(view), x.sizes(), spec.granularity);
}

TEST(EveryIntegerSpec, IsWithinHalfAStepAndIdempotent) {
  at::manual_seed(1);
  const auto x = at::randn({6, 8, 12}) + 0.2;
  for (const QuantSpec& spec : integer_specs()) {
    SCOPED_TRACE(to_string(spec));
    const auto parameters = find_parameters(spec, x);
    const auto value = fake_quantize(spec, x, parameters);
    // An integer zero point is rounded itself, so the ends of the range may lose half a step more.
    const double bound = std::holds_alternative<IntegerZeroPoint>(spec.zero_point) ? 1 : 0.5;
    EXPECT_TRUE((value - x)
                    .abs()
                    .le(steps(spec, x, parameters) * (bound * 1.00001) + 1e-6)
                    .all()
                    .item<bool>());
    EXPECT_TRUE(at::equal(fake_quantize(spec, value, parameters), value));
    const auto codes = quantize_codes(spec, x, parameters);
    EXPECT_EQ(codes.scalar_type(),
              std::get<IntFormat>(spec.format).is_signed ? at::kChar : at::kByte);
    EXPECT_TRUE(at::equal(dequantize(spec, codes, parameters), value));
  }
}

TEST(EveryIntegerSpec, DoesNotCareHowTheTensorLiesInMemory) {
  at::manual_seed(2);
  const auto x = at::randn({12, 8, 6}).permute({2, 1, 0});
  ASSERT_FALSE(x.is_contiguous());
  for (const QuantSpec& spec : integer_specs()) {
    SCOPED_TRACE(to_string(spec));
    const auto here = find_parameters(spec, x), there = find_parameters(spec, x.contiguous());
    EXPECT_TRUE(at::equal(here.scale, there.scale));
    EXPECT_TRUE(
        at::equal(fake_quantize(spec, x, here), fake_quantize(spec, x.contiguous(), there)));
  }
}

TEST(EveryIntegerSpec, KeepsTheDtypeAndIsFiniteForZeroOneTinyAndHugeNumbers) {
  for (const QuantSpec& spec : integer_specs()) {
    SCOPED_TRACE(to_string(spec));
    for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
      for (const double number : {0.0, 1.0, 1e-40, -1e-7, 6e4}) {
        const auto value = fake_quantize_dynamic(spec, at::full({5, 8, 7}, number).to(dtype));
        EXPECT_EQ(value.scalar_type(), dtype);
        EXPECT_TRUE(value.isfinite().all().item<bool>()) << number << " " << dtype;
        if (number == 0) {
          EXPECT_TRUE(value.eq(0).all().item<bool>());
        }
      }
    }
    EXPECT_EQ(fake_quantize_dynamic(spec, at::ones({0, 8, 7})).numel(), 0);
    EXPECT_NEAR(
        fake_quantize_dynamic(spec.let(PerTensor{}), at::full({1, 1, 1}, -2.5)).item<double>(),
        -2.5, 1e-6);
  }
}

TEST(EveryIntegerSpec, AnAllZeroGroupStaysZeroBesideOthers) {
  auto x = at::randn({8, 8, 8});
  x.select(0, 2).zero_();
  for (const QuantSpec& spec : integer_specs()) {
    SCOPED_TRACE(to_string(spec));
    const auto parameters = find_parameters(spec, x);
    EXPECT_TRUE(parameters.scale.gt(0).all().item<bool>());
    if (!std::holds_alternative<FloatZeroPoint>(spec.zero_point)) {
      EXPECT_TRUE(fake_quantize(spec, x, parameters).select(0, 2).eq(0).all().item<bool>());
    }
  }
}

TEST(EveryIntegerSpec, RefusesNaNAndInfinity) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    auto x = at::ones({5, 8, 7});
    x[1][2][3] = bad;
    for (const QuantSpec& spec : integer_specs()) {
      expect_error<c10::ValueError>([&] { find_parameters(spec, x); },
                                    {"NaN or infinity", "1 of 280", "[5, 8, 7]"});
    }
  }
}

TEST(EveryIntegerSpec, HasTheStraightThroughGradientForInputScaleAndZeroPoint) {
  at::manual_seed(3);
  const auto x = at::randn({6, 8, 12}, at::kDouble), g = at::randn({6, 8, 12}, at::kDouble);
  for (QuantSpec spec : integer_specs()) {
    for (const Gradient& gradient : {Gradient(StraightThrough{}), Gradient(Clipped{})}) {
      spec.gradient = gradient;
      SCOPED_TRACE(to_string(spec));
      auto found = find_parameters(spec, x);
      // Smaller scales, so that some elements lie outside of the range.
      const auto leaf = x.clone().set_requires_grad(true);
      const auto scale = (found.scale * 0.6).detach().set_requires_grad(true);
      const auto zero = found.zero_point.defined()
                            ? found.zero_point.detach().clone().set_requires_grad(true)
                            : at::Tensor();
      (fake_quantize(spec, leaf, {scale, zero}) * g).sum().backward();

      const auto s = steps(spec, x, {scale.detach(), {}});
      const auto z = zero.defined() ? steps(spec, x, {zero.detach(), {}}) : at::zeros_like(x);
      const auto [q_min, q_max] = code_range(spec.format);
      const auto real = (x / s + z).round();
      const auto q = real.clamp(q_min, q_max);
      const bool clips = std::holds_alternative<Clipped>(gradient);
      const auto passes = clips ? real.eq(q).to(at::kDouble) : at::ones_like(x);
      EXPECT_TRUE(at::allclose(leaf.grad(), g * passes));
      const auto sum_of = [&](const at::Tensor& each) {
        return grouped(each, spec.granularity).sum_to_size(scale.sizes());
      };
      EXPECT_TRUE(at::allclose(scale.grad(), sum_of(g * (q - z - passes * x / s)), 1e-9, 1e-9));
      if (zero.defined()) {
        EXPECT_TRUE(at::allclose(zero.grad(), sum_of(g * s * (passes - 1)), 1e-9, 1e-9));
      }
    }
  }
}

TEST(Mse, FindsWhatTryingEveryCandidateFindsWithAndWithoutImportance) {
  at::manual_seed(4);
  const int64_t rows = 5, columns = 24, points = 33;
  const auto x = at::randn({rows, columns}), importance = at::rand({columns}) * 10;
  const auto spec =
      QuantSpec{}.let(IntFormat{.bit_width = 3}, PerChannel{.axis = 0}, Mse{.grid_points = points});
  for (const at::Tensor& weight : {at::Tensor(), importance}) {
    const auto found = find_parameters(spec, x, weight).scale.flatten();
    const auto w = weight.defined() ? weight : at::ones({columns});
    for (int64_t row = 0; row < rows; ++row) {
      const double full = x[row].abs().max().item<double>();
      double best = std::numeric_limits<double>::infinity(), best_scale = 0;
      for (int64_t i = 0; i < points; ++i) {
        const double least = 1.0 / points;
        const double part = least + (1 - least) * static_cast<double>(i) / (points - 1);
        const double scale = full * part / 3;
        double loss = 0;
        for (int64_t k = 0; k < columns; ++k) {
          const double value = x[row][k].item<double>();
          const double code = std::min(3.0, std::max(-4.0, std::nearbyint(value / scale)));
          loss += w[k].item<double>() * (code * scale - value) * (code * scale - value);
        }
        if (loss < best) best = loss, best_scale = scale;
      }
      EXPECT_NEAR(found[row].item<double>(), best_scale, best_scale * 1e-5);
    }
  }
}

TEST(Check, RefusesAMagnitudeWithAZeroPointNamingBoth) {
  for (const Statistic& statistic : {Statistic(AbsMax{}), Statistic(Percentile{}),
                                     Statistic(AbsAverage{}), Statistic(MeanSigma{})}) {
    expect_error<c10::ValueError>([&] { QuantSpec{}.let(statistic, IntegerZeroPoint{}); },
                                  {part_name(statistic), "zero point integer", "min_max"});
  }
  expect_error<c10::ValueError>([] { QuantSpec{}.let(AbsMaxAverage{}, PerToken{}); },
                                {"absmax_average", "granularity token"});
  expect_error<c10::ValueError>(
      [] {
        QuantSpec{}.let(Scale(ConstantScale{.value = std::numeric_limits<double>::infinity()}));
      },
      {"ConstantScale", "finite"});
  expect_error<c10::ValueError>(
      [] { QuantSpec{}.let(IntFormat{.bit_width = 1, .is_signed = false, .narrow_range = true}); },
      {"bit_width 1", "narrow_range"});
}

TEST(Check, RefusesASpanOfCodesThatIsMoreThanFloatHolds) {
  MinifloatFormat wide = e5m2();
  wide.exponent_bits = 8;
  EXPECT_NO_THROW(QuantSpec{}.let(wide));
  expect_error<c10::ValueError>([&] { QuantSpec{}.let(wide, MinMax{}, FloatZeroPoint{}); },
                                {"zero point float", "e8m2", "span", "largest_code"});
  expect_error<c10::ValueError>([&] { QuantSpec{}.let(wide, Threshold::kCodeCount); },
                                {"threshold code_count", "e8m2", "span", "largest_code"});
}

}  // namespace
}  // namespace laconic
