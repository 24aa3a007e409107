// Quantizers on CUDA against those of the CPU. Without CUDA all of it skips.
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "laconic/quant/quantizer/block_formats.h"
#include "laconic/quant/quantizer/deferred_checks.h"
#include "laconic/quant/quantizer/fused.h"
#include "tests/quant/fused_cases.h"

namespace laconic {
namespace {

using namespace laconic::testing;

#define LACONIC_NEEDS_CUDA() \
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA in this build or machine"

/// Whose scales hang on elements alone, not on sums.
std::vector<QuantSpec> exact_specs() {
  const QuantSpec int8 = QuantSpec{}.let(IntFormat{.bit_width = 8});
  const QuantSpec int4 = int8.let(IntFormat{.bit_width = 4});
  const QuantSpec uint4 = int8.let(IntFormat{4, false}, MinMax{}, IntegerZeroPoint{});
  std::vector<QuantSpec> all{
      int4.let(Percentile{.q = 99}),
      int4.let(PerChannel{.axis = 0}, Percentile{.q = 99}),
      uint4.let(PerChannel{.axis = 0}, PercentileInterval{}, Minimum(LowPercentile{})),
      int8.let(Scale(ConstantScale{0.02})),
      nvfp4(),
      mx(e4m3()),
      mx(e2m1()),
      mx(IntFormat{.bit_width = 8}),
      mx(e5m2(), BlockScale::kNearest),
      super_block({.bits = 3, .block = 16, .scale_bits = 6})};
  for (const Granularity& granularity : std::vector<Granularity>{
           PerTensor{}, PerChannel{.axis = 0}, PerChannel{.axis = 1}, PerToken{},
           PerGroup{.axis = -1, .group_size = 128}, PerGroup{.axis = -1, .group_size = 48},
           PerGroup{.axis = 0, .group_size = 12},
           PerGroup{.axis = 0, .group_size = 40, .pad = true}, PerBlock{.rows = 16, .columns = 16},
           PerBlock{.rows = 96, .columns = 128}, PerBlock{.rows = 40, .columns = 300, .pad = true},
           PerHead{.axis = -1, .heads = 12}})
    for (const QuantSpec& spec :
         {int8, int4.let(Threshold::kFullRange, Clipped{}), int8.let(PowerOfTwo{}),
          int8.let(e4m3()), int8.let(StoredAs{}), uint4, uint4.let(FloatZeroPoint{})})
      all.push_back(spec.let(granularity));
  return all;
}

at::Tensor weights(at::ScalarType dtype) {
  at::manual_seed(3);
  at::Tensor x = at::randn({96, 768});
  x[1].narrow(0, 0, 80).copy_(at::arange(-40, 40, at::kFloat) / 2);
  x[2].zero_();
  return x.to(dtype);
}

TEST(QuantizersOnCuda, GiveTheBitsOfTheCpu) {
  LACONIC_NEEDS_CUDA();
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const at::Tensor x = weights(dtype), there = x.cuda();
    for (const QuantSpec& spec : exact_specs()) {
      SCOPED_TRACE(to_string(spec));
      const QuantParameters here = find_parameters(spec, x), found = find_parameters(spec, there);
      expect_same(found.scale.cpu(), here.scale);
      if (here.zero_point.defined()) expect_same(found.zero_point.cpu(), here.zero_point);
      const at::Tensor value = fake_quantize_dynamic(spec, x);
      expect_same(fake_quantize_dynamic(spec, there).cpu(), value);
      expect_same(fake_quantize(spec, there, found).cpu(), value);
    }
  }
}

// Not so L1 norms (15 units): the golden codes of A2Q ask for the sums in float32 that the CPU
// makes.
TEST(QuantizersOnCuda, FindOtherScalesWithinTwoUnitsInTheLastPlace) {
  LACONIC_NEEDS_CUDA();
  const at::Tensor x = weights(at::kFloat), there = x.cuda();
  for (const Statistic& statistic :
       std::vector<Statistic>{AbsMaxAverage{}, AbsMaxL2{}, Mse{.grid_points = 20}, AbsAverage{},
                              MeanSigma{.sigma = 3}, L2Norm{}, HalfQuadratic{}}) {
    const bool is_of_all = std::holds_alternative<AbsMaxAverage>(statistic) ||
                           std::holds_alternative<AbsMaxL2>(statistic);
    const Granularity granularity = is_of_all ? Granularity(PerTensor{}) : PerChannel{.axis = 0};
    const QuantSpec spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, granularity, statistic);
    SCOPED_TRACE(to_string(spec));
    const at::Tensor here = find_parameters(spec, x).scale,
                     found = find_parameters(spec, there).scale.cpu();
    const at::Tensor units = (found.view(at::kInt) - here.view(at::kInt)).abs();
    EXPECT_LE(units.max().item<int>(), 2);
  }
}

TEST(QuantizersOnCuda, GiveTheSameWithDeferredChecks) {
  LACONIC_NEEDS_CUDA();
  const at::Tensor x = weights(at::kBFloat16).cuda();
  for (const QuantSpec& spec : exact_specs()) {
    SCOPED_TRACE(to_string(spec));
    const QuantParameters parameters = find_parameters(spec, x);
    at::Tensor dynamic, given;
    with_deferred_checks([&] {
      dynamic = fake_quantize_dynamic(spec, x);
      given = fake_quantize(spec, x, parameters);
    });
    expect_same(dynamic, fake_quantize_dynamic(spec, x));
    expect_same(given, fake_quantize(spec, x, parameters));
  }
}

TEST(QuantizersOnCuda, RefuseNanAtTheEndOfDeferredChecks) {
  LACONIC_NEEDS_CUDA();
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    at::Tensor x = weights(at::kFloat).cuda();
    x[5][7] = bad;
    for (const QuantSpec& spec : exact_specs()) {
      SCOPED_TRACE(to_string(spec));
      const auto quantize = [&] {
        check_quantizable(x);
        fake_quantize_dynamic(spec, x);
      };
      EXPECT_THROW(with_deferred_checks(quantize), c10::ValueError);
    }
    bool has_gone_on = false;
    EXPECT_THROW(with_deferred_checks([&] {
                   fake_quantize_dynamic(nvfp4(), x);
                   has_gone_on = true;
                 }),
                 c10::ValueError);
    EXPECT_TRUE(has_gone_on);
    const QuantSpec lenient = mx(e4m3()).let(NonFinite::kPropagate);
    at::Tensor value;
    EXPECT_NO_THROW(with_deferred_checks([&] { value = fake_quantize_dynamic(lenient, x); }));
    expect_same(value.cpu(), fake_quantize_dynamic(lenient, x.cpu()));
  }
}

at::Tensor gradient_of(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& given) {
  const at::Tensor leaf = x.clone().requires_grad_(true);
  fake_quantize_dynamic(spec, leaf).backward(given);
  return leaf.grad().detach();
}

TEST(QuantizersOnCuda, FlowBackAsOnTheCpuButForTheOrderOfSums) {
  LACONIC_NEEDS_CUDA();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = weights(dtype), given = at::randn(x.sizes()).to(dtype);
    for (const QuantSpec& spec : exact_specs()) {
      SCOPED_TRACE(to_string(spec));
      const at::Tensor here = gradient_of(spec, x, given);
      const at::Tensor found = gradient_of(spec, x.cuda(), given.cuda()).cpu();
      const double unit = dtype == at::kFloat ? 1e-4 : 1e-2;
      // Which of several elements of one magnitude is the percentile is the device's choice.
      if (statistic_of(spec.scale) && !extreme_statistic(spec)) continue;
      EXPECT_TRUE(at::allclose(found, here, unit, unit * here.abs().max().item<double>()));
      // Sums reach only the elements that a scale comes from.
      const auto scales = find_parameters(spec, x).scale.numel();
      if (extreme_statistic(spec)) {
        EXPECT_LE(found.ne(here).sum().item<int64_t>(), 4 * scales + x.size(1));
      }
    }
  }
}

/// Quantizes more elements than 32 bits count, or skips where they do not fit.
void expect_right_ends(int64_t rows, int64_t columns, bool with_gradient) {
  const auto options = at::TensorOptions(at::kCUDA).dtype(at::kBFloat16);
  const int64_t some = 1 << 12;
  at::Tensor x;
  try {
    x = at::empty({rows, columns}, options).normal_();
    x.view({-1})[-1] = 9.5;  // what the scale of the whole tensor comes from
    for (const QuantSpec& spec :
         {QuantSpec{}.let(IntFormat{.bit_width = 8}), mx(e4m3()), nvfp4(),
          QuantSpec{}.let(IntFormat{.bit_width = 4}, PerChannel{.axis = 0})}) {
      SCOPED_TRACE(to_string(spec));
      const QuantParameters parameters = find_parameters(spec, x);
      const at::Tensor value = fake_quantize_dynamic(spec, x);
      for (const int64_t begin : {int64_t{0}, rows / 2, rows - some}) {
        const at::Tensor part = x.narrow(0, begin, some).cpu();
        const at::Tensor& scale = parameters.scale;
        const at::Tensor of_part = scale.numel() == 1 ? scale : scale.narrow(0, begin, some);
        expect_same(value.narrow(0, begin, some).cpu(),
                    fake_quantize_composed(spec, part, {of_part.cpu(), {}}));
      }
      if (!with_gradient) continue;
      const at::Tensor leaf = x.detach().requires_grad_(true);
      fake_quantize_dynamic(spec, leaf).backward(value);
      EXPECT_TRUE(leaf.grad().narrow(0, rows - some, some).isfinite().all().item<bool>());
      EXPECT_GT(leaf.grad().narrow(0, rows - some, some).abs().min().item<double>(), -1);
    }
  } catch (const c10::OutOfMemoryError&) {
    GTEST_SKIP() << "not enough memory on the device";
  }
}

TEST(QuantizersOnCuda, KnowTensorsOfMoreThanTwoBillionElements) {
  LACONIC_NEEDS_CUDA();
  expect_right_ends((int64_t{1} << 25) + 1, 64, /*with_gradient=*/true);
}

TEST(QuantizersOnCuda, KnowTensorsOfEightBillionElements) {
  LACONIC_NEEDS_CUDA();
  expect_right_ends(int64_t{1} << 21, 1 << 12, /*with_gradient=*/false);
}

}  // namespace
}  // namespace laconic
