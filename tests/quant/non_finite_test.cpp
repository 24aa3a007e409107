// NaN and infinity never become a number in silence, whatever the format.
#include <limits>

#include "laconic/quant/quantizer/deferred_checks.h"
#include "laconic/quant/quantizer/quantize.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

MinifloatFormat with_infinity() {
  MinifloatFormat format = e5m2();
  format.saturating = false;
  return format;
}

std::vector<Format> kinds_of_formats() {
  return {IntFormat{}, IntFormat{12, true}, BinaryFormat{}, TernaryFormat{},  e2m1(),
          e4m3(),      e4m3_fnuz(),         nf4(),          PowerSumFormat{}, with_infinity()};
}

QuantSpec fixed(const Format& format) {
  return QuantSpec{}.let(format, Scale(ConstantScale{.value = 0.5}));
}

TEST(NonFinite, StaysWhereAScaleIsThereAlready) {
  const auto finite = at::tensor({0.25, 0.5, -1.0, 2.0, 0.0, -0.7}).repeat({8}).reshape({2, 24});
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    auto x = finite.to(dtype);
    x[0][1] = kNaN, x[0][20] = kInfinity, x[1][3] = -kInfinity;
    for (const Format& format : kinds_of_formats()) {
      SCOPED_TRACE(describe(format));
      const auto spec = fixed(format);
      const auto parameters = find_parameters(spec, at::ones_like(x));
      const auto value = fake_quantize(spec, x, parameters),
                 usual = fake_quantize(spec, finite.to(dtype), parameters);
      EXPECT_TRUE(value[0][1].isnan().item<bool>());
      EXPECT_TRUE(value[0][20].isnan().item<bool>());
      EXPECT_TRUE(value[1][3].isnan().item<bool>());
      const auto kept = x.isfinite();
      EXPECT_TRUE(at::equal(value.masked_select(kept), usual.masked_select(kept)));
      EXPECT_TRUE(at::equal(fake_quantize_composed(spec, x, parameters).isnan(), value.isnan()));
    }
  }
}

TEST(NonFinite, IsRefusedAtOnceOnTheCpuAlsoWithDeferredChecks) {
  auto x = at::ones({3, 16});
  x[1][2] = kNaN;
  bool has_gone_on = false;
  const auto quantize = [&] {
    fake_quantize_dynamic(QuantSpec{}, at::ones({3, 16}));
    fake_quantize_dynamic(QuantSpec{}, x);
    has_gone_on = true;
  };
  expect_error<c10::ValueError>([&] { with_deferred_checks(quantize); },
                                {"NaN or infinity in 1 of 48"});
  EXPECT_FALSE(has_gone_on);
  EXPECT_EQ(deferred_answer(), nullptr);
  with_deferred_checks([] {
    auto* const outer = deferred_answer();
    EXPECT_NE(outer, nullptr);
    with_deferred_checks([&] { EXPECT_EQ(deferred_answer(), outer); });
    EXPECT_EQ(deferred_answer(), outer);
  });
  EXPECT_EQ(deferred_answer(), nullptr);
}

TEST(NonFinite, IsRefusedOrPropagatedWhereAScaleIsFound) {
  auto x = at::ones({3, 16});
  x[1][2] = kInfinity, x[2][5] = kNaN;
  for (const Format& format : kinds_of_formats()) {
    SCOPED_TRACE(describe(format));
    const auto spec = QuantSpec{}.let(format, PerChannel{.axis = 0});
    expect_error<c10::ValueError>([&] { fake_quantize_dynamic(spec, x); },
                                  {"NaN or infinity in 2 of 48"});
    const auto value = fake_quantize_dynamic(spec.let(NonFinite::kPropagate), x);
    EXPECT_TRUE(value[0].isfinite().all().item<bool>());
    EXPECT_TRUE(value[1][2].isfinite().logical_not().item<bool>());
    EXPECT_TRUE(value[2].isnan().all().item<bool>()) << "it decides the scale";
  }
}

TEST(NonFinite, HasACodeOnlyWhereTheFormatHasOne) {
  const auto nan = at::full({16}, kNaN), infinity = at::full({16}, kInfinity);
  for (const Format& format : kinds_of_formats()) {
    SCOPED_TRACE(describe(format));
    const auto spec = fixed(format);
    const auto parameters = find_parameters(spec, at::ones({16}));
    const auto* minifloat = std::get_if<MinifloatFormat>(&format);
    for (const at::Tensor& x : {nan, infinity}) {
      const auto back = [&] {
        return dequantize(spec, quantize_codes(spec, x, parameters), parameters);
      };
      if (minifloat != nullptr && minifloat->specials != FloatSpecials::kNone)
        EXPECT_TRUE(back().isnan().all().item<bool>());
      else
        expect_error<c10::ValueError>(back, {"NaN or infinity in 16 of 16"});
    }
  }
}

}  // namespace
}  // namespace laconic
