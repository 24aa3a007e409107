// The fused kernels against the composed path on minifloats and block formats, bit for bit.
#include <cmath>
#include <limits>

#include "laconic/kernel/fused/rule.h"
#include "laconic/quant/quantizer/block_formats.h"
#include "tests/quant/fused_cases.h"

namespace laconic {
namespace {

using namespace laconic::testing;

std::vector<Format> formats() {
  MinifloatFormat of_positive = e4m3(), of_powers = e2m1();
  of_positive.is_signed = false;
  of_powers.exponent_bits = 4;
  of_powers.mantissa_bits = 0;
  return {e4m3(), e5m2(), e3m2(), e2m3(), e2m1(), e4m3_fnuz(), e5m2_fnuz(), of_positive, of_powers};
}

/// Block scales by all rules, scales of scales to two depths.
std::vector<QuantSpec> scaled(const QuantSpec& base) {
  const Restriction of_e4m3 = QuantizedBy{QuantSpec{}.let(e4m3())};
  const Restriction deep = QuantizedBy{QuantSpec{}.let(
      IntFormat{.bit_width = 6}, PerGroup{.axis = -1, .group_size = 1, .pad = true}, of_e4m3)};
  std::vector<QuantSpec> all{
      base,
      base.let(StoredAs{}, Clipped{}),
      base.let(StoredAs{c10::ScalarType::BFloat16}, Threshold::kPowerOfTwo),
      base.let(MinMax{}, Threshold::kFullRange),
      base.let(of_e4m3),
  };
  if (!std::holds_alternative<PerTensor>(base.granularity)) all.push_back(base.let(deep));
  for (const PowerRounding rounding :
       {PowerRounding::kFloor, PowerRounding::kCeil, PowerRounding::kNearest})
    all.push_back(base.let(PowerOfTwo{rounding}, Threshold::kLargestPower));
  for (const BlockScale rule : {BlockScale::kFloor, BlockScale::kCeil, BlockScale::kNearest}) {
    const auto scale = statistic_of(mx(e4m3(), rule).scale);
    all.push_back(base.let(scale->restriction, scale->threshold));
  }
  return all;
}

std::vector<QuantSpec> float_specs() {
  std::vector<QuantSpec> all;
  for (const Granularity& granularity : fused_granularities()) {
    for (const Format& format : formats()) {
      const auto base = QuantSpec{}.let(granularity, format);
      const auto some = scaled(base);
      all.insert(all.end(), some.begin(), some.end());
      if (element_range(format).low < 0) all.push_back(base.let(MinMax{}, FloatZeroPoint{}));
    }
    for (const int64_t bits : {4, 8}) {  // integers under the scales of blocks
      const auto some = scaled(QuantSpec{}.let(granularity, IntFormat{.bit_width = bits}));
      all.insert(all.end(), some.begin(), some.end());
    }
  }
  return all;
}

/// Numbers at which powers of two and elements change, and one past each.
at::Tensor border_tensor(at::IntArrayRef sizes) {
  auto x = at::randn(sizes) * at::exp2(at::randint(-30, 30, sizes));
  auto flat = x.flatten();
  for (int64_t i = 0; i < flat.numel(); i += 3) {
    const auto power =
        std::ldexp(1.0F + 0.125F * static_cast<float>(i % 8), static_cast<int>(i % 60) - 30);
    const float directions[] = {power, std::nextafter(power, 0.0F), std::nextafter(power, 1e38F)};
    flat[i] = directions[i / 3 % 3] * (i % 2 == 0 ? 1.0F : -1.0F);
  }
  return x;
}

TEST(FusedFloat, WritesLargeResultsWhereRunsAreNoWholeVectors) {
  at::manual_seed(8);
  const auto x = at::randn({512, 4800}).to(at::kBFloat16);  // so large that it goes past the cache
  for (const int64_t group : {16, 48, 80}) {
    const auto spec = QuantSpec{}.let(IntFormat{4}, PerGroup{.axis = 1, .group_size = group});
    EXPECT_TRUE(at::equal(fake_quantize_dynamic(spec, x), composed(spec, x).value));
  }
}

TEST(FusedFloats, FindScalesAndQuantizeInOneGo) {
  at::manual_seed(1);
  int known = 0;
  for (const QuantSpec& spec : float_specs()) {
    for (const std::vector<int64_t>& sizes :
         {std::vector<int64_t>{3, 5, 96}, std::vector<int64_t>{2, 6, 103}}) {
      if (!fits(spec, sizes)) continue;
      expect_found_as_composed(spec, border_tensor(sizes));
      expect_found_as_composed(spec, hard_tensor(sizes).to(at::kBFloat16));
      if (known++ % 5 == 0) expect_found_as_composed(spec, hard_tensor(sizes).to(at::kHalf));
      if (::testing::Test::HasFailure()) return;  // the first says enough
    }
  }
  EXPECT_GT(known, 900);
}

TEST(FusedFloats, QuantizeWithGivenScales) {
  at::manual_seed(2);
  for (const Format& format : formats()) {
    const auto spec = QuantSpec{}.let(format, PerGroup{.axis = -1, .group_size = 32});
    SCOPED_TRACE(to_string(spec));
    auto x = border_tensor({3, 5, 96});
    x[0][3][4] = std::numeric_limits<float>::max();
    auto broken = x.clone();
    broken[0][2][3] = -std::numeric_limits<float>::infinity();
    for (const double scale : {1.0, 0.3, 1e-20, 1e20, std::ldexp(1.0, -126), 1e-42, -0.7}) {
      const QuantParameters given{at::full({3, 5, 3, 1}, scale), {}};
      const auto fused = fused_fake_quantize(spec, x, given);
      ASSERT_TRUE(fused.has_value());
      expect_same(*fused, fake_quantize_composed(spec, x, given));
      EXPECT_FALSE(fused_fake_quantize(spec, broken, given).has_value())
          << "the composed path says what becomes of it";
    }
  }
}

TEST(FusedFloats, GradientsAreThoseOfTheComposedPath) {
  at::manual_seed(3);
  for (const QuantSpec& spec : float_specs()) {
    const auto x = at::randn({3, 4, 96});
    if (!fits(spec, x.sizes())) continue;
    expect_gradient_as_composed(spec, x);
    expect_gradient_as_composed(spec.let(Clipped{}), x);
    expect_given_gradients_as_composed(spec, x);
    expect_given_gradients_as_composed(spec.let(Clipped{}), x);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(FusedFloats, GradientsFarBeyondTheEndsAreThoseOfTheComposedPath) {
  const auto far = at::tensor({0x1.3p105F, -0x1.7p110F, 0x1.6p99F, -0x1.1p101F, 3.0F, -0.7F});
  for (const Format& format : formats()) {
    const auto spec = QuantSpec{}.let(format, Scale(ConstantScale{1}));
    const auto x = element_range(format).low < 0 ? far : far.abs();
    expect_given_gradients_as_composed(spec, x);
    expect_given_gradients_as_composed(spec.let(Clipped{}), x);
  }
}

TEST(FusedFloats, AllZeroGroupsAndDenormalsStayWhatTheyAre) {
  for (const QuantSpec& spec : {mx(e4m3()), mx(e2m1()), nvfp4(), mx(IntFormat{})}) {
    auto x = at::randn({4, 64});
    x[1].zero_();
    x[2].fill_(1e-42);
    expect_found_as_composed(spec, x);
    expect_found_as_composed(spec, at::zeros({4, 64}));
  }
}

TEST(FusedFloats, ClampQuotientsThatAreMoreThanFloatHolds) {
  at::manual_seed(4);
  const Restriction tiny = QuantizedBy{QuantSpec{}.let(e4m3(), Scale(ConstantScale{1e-6}))};
  for (const Format& format : {Format(e4m3()), Format(IntFormat{.bit_width = 8})}) {
    const auto spec = QuantSpec{}.let(format, PerGroup{.axis = -1, .group_size = 32}, tiny);
    expect_found_as_composed(spec, at::randn({4, 64}) * 1e37);
  }
}

TEST(FusedFloats, NaNAndInfinityAreRefusedWhereScalesAreFound) {
  for (const QuantSpec& spec : {mx(e4m3()), nvfp4(), QuantSpec{}.let(e5m2())}) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      auto x = at::ones({4, 64});
      x[3][7] = bad;
      EXPECT_FALSE(fused_quantize(spec, x).has_value());
      expect_error<c10::ValueError>([&] { fake_quantize_dynamic(spec, x); },
                                    {"NaN or infinity", "1 of 256", "[4, 64]"});
    }
  }
}

TEST(FusedFloats, RangesThatFloatDoesNotHoldAreRefused) {
  auto x = at::ones({4, 64});
  x[2][7] = 3e38, x[2][9] = -3e38;
  const auto wide = QuantSpec{}.let(IntFormat{8, false}, MinMax{}, IntegerZeroPoint{});
  for (const QuantSpec& spec :
       {wide, wide.let(PerToken{}), wide.let(PerGroup{.axis = 1, .group_size = 16}),
        wide.let(FloatZeroPoint{}), wide.let(LogFloat{}), QuantSpec{}.let(MinMax{})}) {
    SCOPED_TRACE(to_string(spec));
    for (const bool with_gradient : {false, true}) {
      const auto input = x.clone().set_requires_grad(with_gradient);
      expect_error<c10::ValueError>([&] { fake_quantize_dynamic(spec, input); },
                                    {"[scale]", "more than Float holds", "absmax"});
    }
    expect_error<c10::ValueError>([&] { find_parameters(spec, x); }, {"more than Float holds"});
    auto room = at::empty_like(x);
    expect_error<c10::ValueError>([&] { fake_quantize_dynamic_out(spec, x, room); },
                                  {"more than Float holds"});
  }
  const auto of_magnitude = fake_quantize_dynamic(QuantSpec{}, x);
  EXPECT_TRUE(of_magnitude.isfinite().all().item<bool>());
}

TEST(FusedFloats, LeaveToTheComposedPathWhatTheyDoNotKnow) {
  MinifloatFormat not_saturating = e4m3(), wide;
  not_saturating.saturating = false;
  wide = {.exponent_bits = 8,
          .mantissa_bits = 7,
          .exponent_bias = {},
          .specials = FloatSpecials::kIeee};
  for (const Format& format : {Format(not_saturating), Format(wide), Format(nf4())})
    EXPECT_FALSE(fused_quantize(QuantSpec{}.let(format), at::randn({4, 64})).has_value());
}

}  // namespace
}  // namespace laconic
