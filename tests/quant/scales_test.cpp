// Statistics, restrictions, granularities and searches that the golden cases do not have.
#include <cmath>
#include <limits>

#include "laconic/quant/quantizer/quant_tensor.h"
#include "laconic/quant/quantizer/range.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

/// Every kind of granularity, for tensors of two dimensions.
std::vector<Granularity> granularities() {
  return {PerTensor{},
          PerChannel{.axis = 0},
          PerChannel{.axis = -1},
          PerToken{},
          PerGroup{.axis = 1, .group_size = 4, .pad = true},
          PerBlock{.rows = 2, .columns = 4, .pad = true},
          PerHead{.axis = 1, .heads = 2},
          PerHead{.axis = 1, .heads = 2, .per_token = true}};
}

/// Statistics of all kinds, quick ones of the searches.
std::vector<Statistic> statistics() {
  std::vector<Statistic> result;
  for_each_part<Statistic>([&](auto kind) { result.push_back(kind); });
  for (Statistic& statistic : result) {
    if (auto* kl = std::get_if<KlDivergence>(&statistic)) kl->bins = 129;
    if (auto* hqo = std::get_if<HalfQuadratic>(&statistic)) hqo->iterations = 20;
  }
  result.push_back(Mse{.method = SearchMethod::kGoldenSection});
  return result;
}

bool is_for_whole_tensor(const Statistic& statistic) {
  return std::holds_alternative<AbsMaxAverage>(statistic) ||
         std::holds_alternative<AbsMaxL2>(statistic);
}

std::vector<QuantSpec> specs_of_every_scale() {
  std::vector<QuantSpec> specs;
  for (const Statistic& statistic : statistics()) {
    for (const Granularity& granularity : granularities()) {
      if (is_for_whole_tensor(statistic) && !std::holds_alternative<PerTensor>(granularity))
        continue;
      specs.push_back(QuantSpec{}.let(statistic, granularity));
    }
  }
  return specs;
}

TEST(EveryScale, IsFiniteAndOverZeroForEdgeTensorsOfEveryDtype) {
  const auto values = {0.0, 1.0, 1e-40, -1e-7, 6e4};
  for (const QuantSpec& spec : specs_of_every_scale()) {
    SCOPED_TRACE(to_string(spec));
    for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
      for (const double value : values) {
        const auto x = at::full({3, 8}, value).to(dtype).t().contiguous().t();
        const auto scale = find_parameters(spec, x).scale;
        EXPECT_TRUE(scale.isfinite().all().item<bool>()) << value << " " << dtype;
        EXPECT_TRUE(scale.ne(0).all().item<bool>()) << value << " " << dtype;
        const auto quantized = fake_quantize_dynamic(spec, x);
        EXPECT_EQ(quantized.scalar_type(), dtype);
        EXPECT_TRUE(quantized.isfinite().all().item<bool>()) << value << " " << dtype;
      }
      EXPECT_EQ(fake_quantize_dynamic(spec, at::empty({0, 8}, dtype)).numel(), 0);
      EXPECT_TRUE(fake_quantize_dynamic(spec.let(PerTensor{}), at::ones({1, 1}, dtype))
                      .isfinite()
                      .all()
                      .item<bool>());
    }
  }
}

TEST(EveryScale, IsThatOfTheContiguousTensor) {
  at::manual_seed(1);
  const auto x = at::randn({8, 6}).t();
  for (const QuantSpec& spec : specs_of_every_scale()) {
    SCOPED_TRACE(to_string(spec));
    EXPECT_TRUE(
        at::equal(find_parameters(spec, x).scale, find_parameters(spec, x.contiguous()).scale));
  }
}

TEST(PerBlock, HasTheLargestOfEachBlock) {
  const auto x = at::arange(48).reshape({6, 8}).to(at::kFloat);
  const auto spec = QuantSpec{}.let(PerBlock{.rows = 4, .columns = 4, .pad = true});
  const auto scale = find_parameters(spec, x).scale;
  ASSERT_EQ(scale.sizes(), at::IntArrayRef({2, 1, 2, 1}));
  EXPECT_TRUE(at::allclose(scale.flatten() * 127, at::tensor({27.0f, 31.0f, 43.0f, 47.0f})));
  const auto each = spread(scale, x.sizes(), spec.granularity) * 127;
  EXPECT_FLOAT_EQ(each[3][3].item<float>(), 27);
  EXPECT_FLOAT_EQ(each[4][7].item<float>(), 47);
  expect_error<c10::ValueError>(
      [&] { find_parameters(QuantSpec{}.let(PerBlock{.rows = 4, .columns = 4}), x); },
      {"[PerBlock]", "rows 4", "got 6", "[6, 8]"});
}

TEST(PerHead, HasTheLargestOfEachHead) {
  const auto x = at::arange(24).reshape({2, 2, 6}).to(at::kFloat);
  const auto all = find_parameters(QuantSpec{}.let(PerHead{.heads = 3}), x).scale;
  ASSERT_EQ(all.sizes(), at::IntArrayRef({1, 1, 3, 1}));
  EXPECT_TRUE(at::allclose(all.flatten() * 127, at::tensor({19.0f, 21.0f, 23.0f})));
  const auto each =
      find_parameters(QuantSpec{}.let(PerHead{.heads = 3, .per_token = true}), x).scale;
  ASSERT_EQ(each.sizes(), at::IntArrayRef({2, 2, 3, 1}));
  EXPECT_FLOAT_EQ(each[0][1][2][0].item<float>() * 127, 11);
  expect_error<c10::ValueError>([&] { find_parameters(QuantSpec{}.let(PerHead{.heads = 4}), x); },
                                {"[PerHead]", "4", "6"});
}

TEST(Restriction, FixedPointScalesAreMultiplesOfTheirStep) {
  const auto scales = at::tensor({1e-9, 0.3, 1.0, 77.77});
  const auto found = restrict_final(FixedPoint{.fraction_bits = 4}, scales);
  EXPECT_TRUE(at::equal(found, at::tensor({0.0625, 0.3125, 1.0, 77.75})));
}

TEST(Restriction, DyadicScalesHaveSoManyBitsAndAreTheNearest) {
  at::manual_seed(2);
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto scales = (at::randn({1000}, dtype) * 20).exp2();
    for (const int64_t bits : {1, 3, 8, 16, 24}) {
      const auto found = restrict_final(Dyadic{bits}, scales);
      const auto [fraction, exponent] = at::frexp(found);
      const auto whole = fraction * std::exp2(static_cast<double>(bits));
      EXPECT_TRUE(at::equal(whole, whole.round()));
      EXPECT_TRUE(((found - scales).abs() <= scales * std::exp2(-static_cast<double>(bits)))
                      .all()
                      .item<bool>());
    }
  }
  EXPECT_EQ(restrict_final(Dyadic{3}, at::tensor({15.9})).item<float>(), 16) << "the carry";
}

TEST(Mse, GoldenSectionIsNoWorseThanAFarFinerGridByMuch) {
  at::manual_seed(3);
  const auto x = at::randn({16, 512});
  const auto base = QuantSpec{}.let(IntFormat{.bit_width = 4}, PerChannel{.axis = 0});
  const auto error = [&](const Statistic& statistic) {
    return (fake_quantize_dynamic(base.let(statistic), x) - x).square().mean().item<double>();
  };
  const double golden = error(Mse{.grid_points = 20, .method = SearchMethod::kGoldenSection});
  EXPECT_LT(golden, error(Mse{.grid_points = 2000}) * 1.01);
  EXPECT_LT(golden, error(AbsMax{}));
}

TEST(Mse, FindsThePublishedClipsOfTheNormalDistribution) {
  at::manual_seed(4);
  const auto x = at::randn({1, 2000000});
  // Mid-rise quantizers of 2^b levels that are clipped at c standard deviations have their least
  // error at these c; ours are mid-tread of 2^b - 1 levels, whose optimum lies close by.
  for (const auto& [bits, clip] : {std::pair{4, 2.5140}, {5, 2.9162}, {6, 3.2780}}) {
    const auto spec = QuantSpec{}.let(IntFormat{.bit_width = bits, .narrow_range = true},
                                      Mse{.grid_points = 200});
    const double found = find_parameters(spec, x).scale.item<double>() * (std::exp2(bits - 1) - 1);
    EXPECT_NEAR(found, clip, 0.12) << bits;
  }
}

TEST(Mse, OfAScaleThatMayBeNegativeSearchesBothSigns) {
  // -8 has a code, 8 has none: with a negative scale the large number loses nothing.
  const auto x = at::tensor({8.0, 1.0, -2.0, 3.0, -5.0}).reshape({1, 5});
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, Mse{.grid_points = 40},
                                    SignedFloat{}, Threshold::kFullRange);
  EXPECT_LT(find_parameters(spec, x).scale.item<double>(), 0);
  EXPECT_LT((fake_quantize_dynamic(spec, x) - x).abs().max().item<double>(), 1e-6);
}

TEST(HalfQuadratic, NeverEndsWorseThanItBegan) {
  at::manual_seed(5);
  const auto heavy = at::randn({8, 64}) / at::rand({8, 64}).sqrt();
  const auto error = [&](const QuantSpec& spec) {
    return (fake_quantize_dynamic(spec, heavy) - heavy).abs().mean().item<double>();
  };
  const auto symmetric = QuantSpec{}.let(IntFormat{.bit_width = 3}, PerChannel{.axis = 0});
  EXPECT_LT(error(symmetric.let(HalfQuadratic{})), error(symmetric));
  const auto shifted = QuantSpec{}.let(IntFormat{3, false}, PerChannel{.axis = 0},
                                       MinMax{.include_zero = false}, FloatZeroPoint{});
  EXPECT_LT(error(shifted.let(Minimum(HalfQuadraticMinimum{}))), error(shifted));
}

TEST(HalfQuadratic, TheKernelEndsAsGoodAsTheFormula) {
  at::manual_seed(7);
  const auto x = at::randn({64, 2048}) / at::rand({64, 2048}).sqrt();
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, PerChannel{.axis = 0},
                                    HalfQuadratic{.iterations = 100});
  for (const QuantSpec& one :
       {spec, spec.let(IntFormat{4, false}, IntegerZeroPoint{}, Minimum(Smallest{}))}) {
    SCOPED_TRACE(to_string(one));
    // There is no kernel for float64.
    const auto wide = find_parameters(one, x.to(at::kDouble)), quick = find_parameters(one, x);
    const auto ratio = (quick.scale.to(at::kDouble) / wide.scale - 1).abs();
    EXPECT_LT(ratio.mean().item<double>(), 1e-3);
    const auto error = [&](const QuantParameters& parameters) {
      const auto value = fake_quantize(one, x.to(parameters.scale.scalar_type()), parameters);
      return (value - x).abs().mean().item<double>();
    };
    EXPECT_NEAR(error(quick) / error(wide), 1, 1e-3);
  }
}

TEST(Kl, ClipsTheOutlierThatAbsMaxKeeps) {
  at::manual_seed(6);
  const auto x = at::cat({at::randn({5000}), at::tensor({60.0})}).to(at::kFloat);
  const auto base = QuantSpec{}.let(IntFormat{.bit_width = 4});
  EXPECT_LT(find_parameters(base.let(KlDivergence{}), x).scale.item<double>(),
            find_parameters(base, x).scale.item<double>() * 0.9);
}

TEST(Check, RefusesScalesThatContradictNamingBoth) {
  const auto refused = [](auto make, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>(make, words);
  };
  refused([] { QuantSpec{}.let(Scale(RunningScale{}), PerToken{}); }, {"running", "token"});
  refused([] { QuantSpec{}.let(Scale(LearnedScale{{}, 10}), PerGroup{}); }, {"learned", "group"});
  refused([] { QuantSpec{}.let(Scale(AccumulatorScale{})); }, {"accumulator", "half_even"});
  refused(
      [] {
        QuantSpec{}.let(Scale(WeightNormScale{}), IntFormat{8, false});
      },
      {"weight_norm", "signed"});
  refused([] { QuantSpec{}.let(Scale(LearnedScale{}), Affine::kFactor); }, {"affine", "learned"});
  refused([] { QuantSpec{}.let(IntFormat{.bit_width = 3}, BitWidth(LearnedBits{4})); },
          {"minimum_bits 4", "bits 3"});
  refused([] { QuantSpec{}.let(BitWidth(LearnedBits{}), Mse{}); }, {"bit width", "mse"});
  refused([] { QuantSpec{}.let(GivenRange{-1}, PowerOfTwo{}); }, {"given", "power_of_two"});
  refused([] { QuantSpec{}.let(FixedPoint{.fraction_bits = 200}); }, {"FixedPoint", "200"});
  refused([] { QuantSpec{}.let(Dyadic{0}); }, {"Dyadic", "0"});
  refused([] { QuantSpec{}.let(PerBlock{.rows = 0}); }, {"PerBlock", "0"});
  refused([] { QuantSpec{}.let(KlDivergence{.bins = 100}); }, {"KlDivergence", "odd", "100"});
  refused([] { QuantSpec{}.let(AbsMaxL2{}, PerToken{}); }, {"absmax_l2", "token"});
}

TEST(Yaml, ReadsBackEveryScaleWithItsFields) {
  const IntFormat unsigned_codes{8, false};
  for (const QuantSpec& spec :
       {QuantSpec{}.let(Scale(RunningScale{{}, 0.3})),
        QuantSpec{}.let(Scale(LearnedScale{{.statistic = Percentile{}}, 300, 0.2})),
        QuantSpec{}.let(Scale(DecoupledScale{{.statistic = AbsMaxL2{1}}})),
        QuantSpec{}.let(Scale(WeightNormScale{1e-8})),
        QuantSpec{}.let(Scale(AccumulatorScale{16, 4, false, true, 1e-9}), TowardZero{}),
        QuantSpec{}.let(Affine::kFactorAndOffset), QuantSpec{}.let(BitWidth(LearnedBits{3})),
        QuantSpec{}.let(NonFinite::kPropagate),
        QuantSpec{}.let(unsigned_codes, MinMax{}, IntegerZeroPoint{}, ZeroPointSource::kLearned,
                        Minimum(HalfQuadraticMinimum{10, 0.6, 2, 1.02})),
        QuantSpec{}.let(unsigned_codes, MinMax{}, FloatZeroPoint{}, Minimum(LowPercentile{2})),
        QuantSpec{}.let(unsigned_codes, Mse{30, SearchMethod::kGoldenSection}, IntegerZeroPoint{},
                        Minimum(MseMinimum{7}))}) {
    EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test"), spec) << to_yaml(spec);
    EXPECT_FALSE(to_string(spec).empty());
  }
}

}  // namespace
}  // namespace laconic
