#include "laconic/quant/quantizer/running.h"

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

std::vector<at::Tensor> windows_of(const at::Tensor& x) {
  std::vector<at::Tensor> windows;
  for (int64_t i = 0; i < x.size(0); ++i) windows.push_back(x.narrow(0, i, 1));
  return windows;
}

QuantParameters run(const QuantSpec& spec, const at::Tensor& x) {
  RunningRange range(spec);
  for (const at::Tensor& window : windows_of(x)) range.add(window);
  EXPECT_EQ(range.windows(), x.size(0));
  return range.parameters();
}

const IntFormat kUnsigned{.bit_width = 8, .is_signed = false};

TEST(RunningRange, ExtremesOfWindowsAreThoseOfAllTheData) {
  at::manual_seed(1);
  const auto x = at::randn({5, 7, 12}) + 0.3;
  for (const Granularity& granularity : {Granularity(PerTensor{}), Granularity(PerChannel{-1})}) {
    const auto base = QuantSpec{}.let(granularity, Scale(StaticScale{}));
    for (const QuantSpec& spec : {base, base.let(SignedAbsMax{}, SignedFloat{}),
                                  base.let(kUnsigned, MinMax{}, IntegerZeroPoint{})}) {
      SCOPED_TRACE(to_string(spec));
      const auto found = run(spec, x), whole = find_parameters(spec, x);
      EXPECT_TRUE(at::equal(found.scale, whole.scale));
      EXPECT_EQ(found.zero_point.defined(), whole.zero_point.defined());
      if (whole.zero_point.defined()) {
        EXPECT_TRUE(at::equal(found.zero_point, whole.zero_point));
      }
      EXPECT_LE((fake_quantize(spec, x, found) - x).abs().max().item<double>(),
                found.scale.abs().max().item<double>() * 1.0001);
    }
  }
}

TEST(RunningRange, OtherStatisticsAreTheMeanOverWindows) {
  at::manual_seed(2);
  const auto x = at::randn({4, 3, 50});
  for (const Statistic& statistic :
       {Statistic(Percentile{.q = 90}), Statistic(Mse{}), Statistic(AbsAverage{})}) {
    const auto spec = QuantSpec{}.let(Scale(StaticScale{}), statistic);
    at::Tensor mean = at::zeros({});
    for (const at::Tensor& window : windows_of(x))
      mean += find_parameters(spec, window).scale / x.size(0);
    SCOPED_TRACE(to_string(spec));
    EXPECT_TRUE(at::allclose(run(spec, x).scale, mean));
  }
  const auto interval = QuantSpec{}.let(Scale(StaticScale{}), kUnsigned, IntegerZeroPoint{},
                                        PercentileInterval{.low = 5, .high = 95});
  const auto found = run(interval, x);
  // 90 % of a normal distribution lie within 1.645 standard deviations.
  EXPECT_NEAR(found.scale.item<double>() * 255, 2 * 1.645, 0.5);
  EXPECT_NEAR(found.zero_point.item<double>(), 127, 20);
}

TEST(RunningRange, RefusesWhatHasNoFixedScaleAndNoData) {
  expect_error<c10::ValueError>([] { RunningRange{QuantSpec{}}; }, {"static", "statistic"});
  for (const Granularity& granularity : {Granularity(PerToken{}), Granularity(PerChannel{0}),
                                         Granularity(PerGroup{.axis = -1, .group_size = 8})}) {
    expect_error<c10::ValueError>(
        [&] { QuantSpec{}.let(Scale(StaticScale{}), granularity); },
        {"static scale contradicts the granularity", part_name(granularity)});
  }
  RunningRange range(QuantSpec{}.let(Scale(StaticScale{})));
  range.add(at::ones({0, 4}));
  expect_error<c10::ValueError>([&] { range.parameters(); }, {"at least one window"});
  expect_error<c10::ValueError>(
      [&] {
        range.add(at::full({2, 4}, std::numeric_limits<float>::infinity()));
      },
      {"NaN or infinity", "8 of 8"});
}

TEST(RunningRange, AZeroInputHasAScaleAboveZero) {
  const auto spec = QuantSpec{}.let(Scale(StaticScale{}));
  EXPECT_GT(run(spec, at::zeros({2, 3, 4})).scale.item<double>(), 0);
}

}  // namespace
}  // namespace laconic
