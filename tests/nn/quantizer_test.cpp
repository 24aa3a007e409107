#include "laconic/nn/quantizer.h"

#include <torch/torch.h>

#include <limits>
#include <sstream>

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

const QuantSpec kLearned = QuantSpec{}.let(PerChannel{.axis = 0}, Scale(LearnedScale{}));

/// One spec of every kind of state.
std::vector<QuantSpec> specs_with_state() {
  const IntFormat unsigned_codes{.bit_width = 4, .is_signed = false};
  return {kLearned,
          kLearned.let(LogFloat{}),
          kLearned.let(unsigned_codes, MinMax{}, IntegerZeroPoint{}, Gradient(Clipped{})),
          kLearned.let(BitWidth(LearnedBits{}), Gradient(Clipped{})),
          kLearned.let(Format(e4m3()), BitWidth(LearnedBits{}), Gradient(Clipped{})),
          kLearned.let(Rounding(LearnedHardSigmoid{})),
          QuantSpec{}.let(PerGroup{.axis = 1, .group_size = 5, .pad = true}, LearnedOffset{}),
          QuantSpec{}.let(Stochastic{}),
          QuantSpec{}.let(Affine::kFactorAndOffset),
          QuantSpec{}.let(Scale(RunningScale{})),
          QuantSpec{}.let(Scale(LearnedScale{{}, 2})),
          QuantSpec{}.let(Scale(StaticScale{})),
          QuantSpec{}.let(Scale(DecoupledScale{})),
          QuantSpec{}.let(PerChannel{.axis = 0}, Scale(WeightNormScale{}), Gradient(Clipped{})),
          QuantSpec{}.let(PerChannel{.axis = 0}, Scale(AccumulatorScale{.accumulator_bits = 12}),
                          TowardZero{}, Gradient(Clipped{}))};
}

TEST(Quantizer, StartsALearnedScaleAtTheStatisticOfItsExample) {
  torch::manual_seed(1);
  const auto weight = torch::randn({6, 8});
  nn::Quantizer quantizer(kLearned, weight);
  EXPECT_EQ(quantizer->spec(), kLearned);
  const auto live = find_parameters(kLearned.let(Scale(StatisticScale{})), weight);
  EXPECT_TRUE(torch::equal(quantizer->forward(weight).scale, live.scale));
  EXPECT_TRUE(torch::equal(quantizer->forward(weight * 2).scale, live.scale)) << "it is learned";
}

TEST(Quantizer, OfAShapeStartsAtTheFirstTensorThatComes) {
  torch::manual_seed(2);
  const auto weight = torch::randn({6, 8});
  nn::Quantizer from_shape(kLearned, weight.sizes()), from_example(kLearned, weight);
  EXPECT_TRUE(torch::equal(from_shape->forward(weight).value, from_example->forward(weight).value));
}

TEST(Quantizer, WithoutStateIsTheFunctionOfItsSpec) {
  torch::manual_seed(3);
  const auto x = torch::randn({4, 32});
  for (const Granularity& granularity :
       {Granularity(PerTensor{}), Granularity(PerToken{}), Granularity(PerHead{.heads = 4}),
        Granularity(PerBlock{.rows = 2, .columns = 8})}) {
    const auto spec = QuantSpec{}.let(granularity);
    nn::Quantizer quantizer(spec, x.sizes());
    EXPECT_EQ(quantizer->parameters().size(), 0u);
    EXPECT_EQ(quantizer->buffers().size(), 0u);
    EXPECT_TRUE(torch::equal(quantizer->forward(x).value, quantize(spec, x).value));
  }
}

TEST(Quantizer, NamesItsStateAsTheCheckpointFormatSays) {
  const auto x = torch::ones({4, 6});
  const auto names = [&](const QuantSpec& spec) {
    nn::Quantizer quantizer(spec, x.sizes());
    std::vector<std::string> found;
    for (const auto& item : quantizer->named_parameters()) found.push_back(item.key());
    for (const auto& item : quantizer->named_buffers()) found.push_back(item.key());
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(kLearned), (Names{"scale_value", "initialized"}));
  EXPECT_EQ(names(kLearned.let(BitWidth(LearnedBits{}))),
            (Names{"scale_value", "bit_width_offset", "initialized"}));
  EXPECT_EQ(names(QuantSpec{}.let(Affine::kFactorAndOffset)),
            (Names{"affine_weight", "affine_bias"}));
  EXPECT_EQ(names(QuantSpec{}.let(IntFormat{8, false}, MinMax{}, IntegerZeroPoint{},
                                  Scale(LearnedScale{{.statistic = MinMax{}}, 2}))),
            (Names{"scale_value", "zero_point", "running_statistic", "running_minimum",
                   "collected_steps", "initialized"}));
  EXPECT_EQ(names(QuantSpec{}.let(Scale(WeightNormScale{}))),
            (Names{"scale_value", "norm_value", "prenorm_scale_value", "initialized"}));
  EXPECT_EQ(names(QuantSpec{}.let(Scale(StaticScale{}))),
            (Names{"static_scale", "collected_steps"}));
}

TEST(Quantizer, SavedAndLoadedQuantizesAlike) {
  torch::manual_seed(4);
  const auto x = torch::randn({6, 8}), y = torch::randn({6, 8}) * 1.5;
  for (const QuantSpec& spec : specs_with_state()) {
    SCOPED_TRACE(to_string(spec));
    nn::Quantizer first(spec, x), second(spec, y.sizes());
    for (int i = 0; i < 4; ++i) first->forward(x * (1 + 0.1 * i));
    std::stringstream file;
    torch::save(first, file);
    torch::load(second, file);
    first->eval(), second->eval();
    EXPECT_TRUE(torch::equal(first->forward(y).value, second->forward(y).value));
    const auto copy = std::dynamic_pointer_cast<nn::QuantizerImpl>(first->clone());
    EXPECT_TRUE(torch::equal(copy->forward(y).value, first->forward(y).value));
  }
}

TEST(Quantizer, GivesEveryParameterAGradient) {
  torch::manual_seed(5);
  const auto x = torch::randn({6, 8}), grad = torch::randn({6, 8});
  for (const QuantSpec& spec : specs_with_state()) {
    SCOPED_TRACE(to_string(spec));
    nn::Quantizer quantizer(spec, x);
    for (int i = 0; i < 3; ++i) quantizer->forward(x);
    const auto leaf = (x * 1.3).requires_grad_();
    (quantizer->forward(leaf).value * grad).sum().backward();
    EXPECT_TRUE(leaf.grad().isfinite().all().item<bool>());
    for (const auto& parameter : quantizer->named_parameters()) {
      ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
      EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
    }
  }
}

TEST(Quantizer, AveragesBatchesInTrainingAndLeavesThemAloneInEvaluation) {
  const auto one = torch::ones({4}), three = torch::full({4}, 3.0);
  for (const double momentum : {0.25, 0.0}) {
    nn::Quantizer quantizer(QuantSpec{}.let(Scale(RunningScale{{}, momentum})), one.sizes());
    quantizer->forward(one);
    EXPECT_EQ(quantizer->forward(three).scale.item<float>(), 3.0f / 127) << "the batch's own";
    quantizer->eval();
    const double average = momentum > 0 ? 1 + momentum * 2 : 2;
    EXPECT_FLOAT_EQ(quantizer->forward(three * 9).scale.item<float>(), average / 127);
    EXPECT_FLOAT_EQ(quantizer->forward(one).scale.item<float>(), average / 127);
  }
}

TEST(Quantizer, LearnsFromTheAverageOfTheBatchesThatItCollected) {
  const auto one = torch::ones({4});
  const auto spec = QuantSpec{}.let(Scale(LearnedScale{{.restriction = PowerOfTwo{}}, 2, 0.0}));
  nn::Quantizer quantizer(spec, one.sizes());
  EXPECT_FLOAT_EQ(quantizer->forward(one * 3).scale.item<float>(), 3.0f / 127) << "unrestricted";
  quantizer->forward(one * 5);
  EXPECT_FALSE(quantizer->named_buffers()["initialized"].item<bool>());
  EXPECT_FLOAT_EQ(quantizer->forward(one * 50).scale.item<float>(), 4.0f / 127);
  EXPECT_TRUE(quantizer->named_buffers()["initialized"].item<bool>());
  EXPECT_EQ(quantizer->named_parameters()["scale_value"].item<float>(), 2.0f) << "log2 of 4";
}

TEST(Quantizer, AStaticScaleIsThatOfAllBatches) {
  torch::manual_seed(6);
  const auto spec = QuantSpec{}.let(
      IntFormat{8, false}, Scale(StaticScale{{.statistic = MinMax{}}}), IntegerZeroPoint{});
  nn::Quantizer quantizer(spec, torch::IntArrayRef{3, 5});
  RunningRange range(spec);
  for (int i = 0; i < 3; ++i) {
    const auto x = torch::randn({3, 5}) * (i + 1);
    quantizer->forward(x);
    range.add(x);
  }
  quantizer->eval();
  const auto found = quantizer->forward(torch::ones({3, 5}) * 100);
  EXPECT_TRUE(torch::equal(found.scale, range.parameters().scale));
  EXPECT_TRUE(torch::equal(found.zero_point, range.parameters().zero_point));
}

TEST(Quantizer, AnAccumulatorNeverOverflowsWhateverTheInput) {
  torch::manual_seed(7);
  for (const bool is_signed : {false, true}) {
    for (const bool centered : {false, true}) {
      const AccumulatorScale scale{.accumulator_bits = 10,
                                   .input_bits = 4,
                                   .input_signed = is_signed,
                                   .zero_centered = centered};
      const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 6, .narrow_range = true},
                                        PerChannel{.axis = 0}, Scale(scale), TowardZero{});
      const auto weight = torch::randn({16, 20});
      nn::Quantizer quantizer(spec, weight);
      const auto codes = codes_of(quantizer->forward(weight)).to(torch::kDouble);
      EXPECT_GT(codes.abs().sum().item<double>(), 0);
      EXPECT_LE(codes.abs().sum(1).max().item<double>(), norm_bound(scale));
      // The worst input: its largest magnitude wherever the code has the sign that adds up.
      const double low = is_signed ? -8 : 0, high = is_signed ? 7 : 15;
      const auto most = codes.clamp_min(0).sum(1) * high + codes.clamp_max(0).sum(1) * low;
      const auto least = codes.clamp_min(0).sum(1) * low + codes.clamp_max(0).sum(1) * high;
      EXPECT_LE(most.max().item<double>(), 511);
      EXPECT_GE(least.min().item<double>(), -512);
    }
  }
}

TEST(Quantizer, LearnedBitsWidenAndNarrowTheCodes) {
  torch::manual_seed(8);
  const auto x = torch::randn({6, 8});
  nn::Quantizer quantizer(kLearned.let(BitWidth(LearnedBits{}), Gradient(Clipped{})), x);
  EXPECT_EQ(quantizer->bit_width().item<double>(), 8);
  {
    const torch::NoGradGuard no_gradient;
    quantizer->named_parameters()["bit_width_offset"].fill_(-1.2);
  }
  EXPECT_EQ(quantizer->bit_width().item<double>(), 3) << "2 + round(|-1.2|)";
  const QuantTensor found = quantizer->forward(x);
  EXPECT_EQ(std::get<IntFormat>(found.format).bit_width, 3);
  EXPECT_GE(codes_of(found).min().item<int64_t>(), -4);
  EXPECT_LE(codes_of(found).max().item<int64_t>(), 3);
}

TEST(Quantizer, LearnedMantissaBitsWidenAndNarrowTheElements) {
  torch::manual_seed(9);
  const auto x = torch::randn({6, 8});
  const auto spec = kLearned.let(Format(e4m3()), BitWidth(LearnedBits{1}), Gradient(Clipped{}));
  nn::Quantizer quantizer(spec, x), fixed(kLearned.let(Format(e4m3())), x);
  EXPECT_EQ(quantizer->bit_width().item<double>(), 3);
  EXPECT_TRUE(torch::equal(quantizer->forward(x).value, fixed->forward(x).value));
  {
    const torch::NoGradGuard no_gradient;
    quantizer->named_parameters()["mantissa_bits_offset"].fill_(0);
  }
  const QuantTensor found = quantizer->forward(x);
  const auto& format = std::get<MinifloatFormat>(found.format);
  EXPECT_EQ(format.mantissa_bits, 1);
  EXPECT_TRUE(torch::equal(dequantize(spec.let(Format(format), BitWidth(FixedBits{})),
                                      codes_of(found), {found.scale, {}}),
                           found.value.detach()))
      << "every element has a code";
}

TEST(Quantizer, QuantizesLearnedScalesByAnotherQuantizer) {
  torch::manual_seed(10);
  const auto x = torch::randn({4, 32});
  const auto spec = QuantSpec{}.let(PerGroup{.axis = 1, .group_size = 16}, Scale(LearnedScale{}),
                                    Restriction(QuantizedBy{QuantSpec{}.let(e4m3())}));
  nn::Quantizer learned(spec, x),
      live(spec.let(Scale(StatisticScale{}), Restriction(QuantizedBy{QuantSpec{}.let(e4m3())})), x);
  EXPECT_TRUE(torch::equal(learned->forward(x).scale, live->forward(x).scale));
}

TEST(Quantizer, ALearnedRoundingBeginsWhereNothingIsLostAndEndsWhole) {
  torch::manual_seed(11);
  const auto x = torch::randn({4, 8});
  nn::Quantizer quantizer(kLearned.let(Rounding(LearnedHardSigmoid{})), x);
  EXPECT_TRUE(torch::allclose(quantizer->forward(x).value, x, 1e-4, 1e-5)) << "soft";
  quantizer->eval();
  const auto nearest = quantize(kLearned, x).value;
  EXPECT_TRUE(torch::allclose(quantizer->forward(x).value, nearest));
  expect_error<c10::ValueError>(
      [&] {
        quantizer->forward(torch::ones({4, 9}));
      },
      {"[Quantizer]", "rounding", "[4, 8]", "[4, 9]"});
}

TEST(Quantizer, ARandomRoundingDrawsAnewEachTrainingStep) {
  torch::manual_seed(12);
  const auto x = torch::randn({4, 64});
  nn::Quantizer quantizer(QuantSpec{}.let(IntFormat{.bit_width = 3}, Stochastic{}), x.sizes());
  const auto first = quantizer->forward(x).value, second = quantizer->forward(x).value;
  EXPECT_FALSE(torch::equal(first, second));
  quantizer->eval();
  EXPECT_TRUE(torch::equal(quantizer->forward(x).value, quantizer->forward(x).value));
  EXPECT_NO_THROW(quantizer->forward(torch::randn({2, 7}))) << "it keeps nothing of the shape";
}

TEST(Quantizer, RefusesWhatItCannotDoInASentence) {
  const auto x = torch::ones({4, 6});
  nn::Quantizer learned(kLearned, x);
  expect_error<c10::ValueError>(
      [&] {
        learned->forward(torch::ones({5, 6}));
      },
      {"[Quantizer]", "[5, 6]", "[4, 1]"});
  EXPECT_NO_THROW(learned->forward(torch::ones({4, 9})));
  auto broken = x.clone();
  broken[1][1] = std::numeric_limits<float>::infinity();
  expect_error<c10::ValueError>([&] { learned->forward(broken); }, {"infinity", "1 of 24"});
  nn::Quantizer running(QuantSpec{}.let(Scale(RunningScale{})), x.sizes());
  running->eval();
  expect_error<c10::ValueError>([&] { running->forward(x); }, {"before any training batch"});
}

TEST(Quantizer, PropagatesNaNAndInfinityWhenTold) {
  auto x = torch::ones({4, 6});
  x[1][1] = std::numeric_limits<float>::infinity();
  x[2][0] = std::numeric_limits<float>::quiet_NaN();
  const auto spec = kLearned.let(NonFinite::kPropagate);
  nn::Quantizer live(spec.let(Scale(StatisticScale{})), x), learned(spec, torch::ones({4, 6}));
  EXPECT_TRUE(live->forward(x).value[1].isnan().all().item<bool>()) << "it decides the scale";
  EXPECT_TRUE(live->forward(x).value[0].eq(1).all().item<bool>());
  const auto value = learned->forward(x).value;
  EXPECT_TRUE(value[1][1].isnan().item<bool>());
  EXPECT_TRUE(value[2][0].isnan().item<bool>());
  EXPECT_EQ(value.isnan().sum().item<int64_t>(), 2);
}

}  // namespace
}  // namespace laconic
