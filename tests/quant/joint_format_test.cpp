// Formats whose codes need more than a scale: a choice of tables, sums of planes, complex signs.
#include <ATen/ops/view_as_complex.h>
#include <ATen/ops/view_as_real.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "laconic/quant/presets/presets.h"
#include "laconic/quant/quantizer/format_choice.h"
#include "laconic/quant/quantizer/json.h"
#include "laconic/quant/quantizer/plane_sum.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

QuantSpec spec_of_yaml(const std::string& text) { return quant_spec_from_yaml(text, "r.yaml"); }

at::Tensor bits_of(const at::Tensor& x) { return x.contiguous().view(at::kInt); }

TEST(JointFormat, ReadsWordsTablesAndNames) {
  const auto spec = spec_of_yaml(
      "{format: choice, tables: [nf4, [0, 1, 2, 3, 4, 5, 6, 7, -1, -2, "
      "-3, -4, -5, -6, -7, -8], \"af4\"]}");
  const auto& tables = std::get<ChoiceFormat>(spec.format).tables;
  ASSERT_EQ(tables.size(), 3u);
  EXPECT_EQ(tables[0], nf4().values);
  EXPECT_EQ(tables[1].back(), -8);
  EXPECT_EQ(tables[2], af4().values);
  EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test"), spec);
  EXPECT_EQ(quant_spec_from_json(to_json(spec), "test"), spec);
  EXPECT_EQ(spec_of_yaml("{format: bitmod3}").format, Format(bitmod_tables(3)));
  EXPECT_EQ(spec_of_yaml("{format: planes, planes: 3, plane: ternary, plane_rounds: 4}").format,
            Format(PlaneSumFormat{3, Plane::kTernary, 4}));
  EXPECT_EQ(stored_bits(Format(PlaneSumFormat{3, Plane::kTernary, 4})), 6);
  EXPECT_EQ(stored_bits(Format(bitmod_tables(4))), 4);
  EXPECT_EQ(choice_bits(bitmod_tables(4)), 2);
}

TEST(JointFormat, SpecOfTablesMeansWhatTheChoiceOfFormatsMeans) {
  at::manual_seed(2);
  const auto x = at::randn({6, 256});
  for (const int64_t bits : {3, 4}) {
    const auto& spec = quant_spec_preset("bitmod" + std::to_string(bits) + "-g128");
    const auto chosen = quantize(bitmod(bits), x);
    const auto found = find_parameters(spec, x);
    EXPECT_TRUE(found.choice.equal(chosen.parameters.choice));
    EXPECT_TRUE(found.scale.equal(chosen.parameters.scale));
    EXPECT_GT(found.choice.max().item<int64_t>(), found.choice.min().item<int64_t>());
    EXPECT_TRUE(quantize_codes(spec, x, found).equal(chosen.codes));
    EXPECT_TRUE(fake_quantize_dynamic(spec, x).equal(chosen.value));  // but for signs of 0
  }
}

TEST(JointFormat, ImportanceMovesTheChoice) {
  at::manual_seed(3);
  const auto x = at::randn({16, 128}), importance = at::rand({1, 128}).pow(8);
  const auto& spec = quant_spec_preset("bitmod3-g128");
  const auto loss = [&](const QuantParameters& parameters) {
    return ((fake_quantize(spec, x, parameters) - x).square() * importance).sum(1);
  };
  const auto plain = find_parameters(spec, x), weighted = find_parameters(spec, x, importance);
  EXPECT_FALSE(plain.choice.equal(weighted.choice));
  EXPECT_TRUE(loss(weighted).le(loss(plain)).all().item<bool>());
}

TEST(JointFormat, TwoBinaryPlanesAreTheComposedSumBitForBit) {
  at::manual_seed(4);
  const auto x = at::randn({6, 256});
  const auto& spec = quant_spec_preset("two-binary-g128");
  const auto composed = quantize_planes(two_binary_planes(spec.granularity), x);
  const auto found = find_parameters(spec, x);
  EXPECT_TRUE(found.scale.equal(composed.planes[0].scale));
  EXPECT_TRUE(found.plane_scales.select(0, 0).equal(composed.planes[1].scale));
  EXPECT_TRUE(bits_of(fake_quantize_dynamic(spec, x)).equal(bits_of(value_of(composed))));
}

TEST(JointFormat, PlanesTakeTheNearestSumAndAreNeverWorseThanTheComposedOnes) {
  at::manual_seed(5);
  const auto x = at::randn({6, 256});
  for (const char* text : {"{format: two_ternary, granularity: group, group_size: 64, statistic: "
                           "abs_average}",
                           "{format: planes, planes: 3, granularity: channel, statistic: mse}",
                           "{format: planes, planes: 3, plane: ternary, plane_rounds: 2}"}) {
    SCOPED_TRACE(text);
    const auto spec = spec_of_yaml(text);
    const auto composed = value_of(quantize_planes(planes_of(spec), x));
    const auto parameters = find_parameters(spec, x);
    const auto codes = quantize_codes(spec, x, parameters);
    const auto value = dequantize(spec, codes, parameters);
    EXPECT_TRUE((value - x).abs().le((composed - x).abs() + 1e-6).all().item<bool>());
    EXPECT_TRUE(value.equal(fake_quantize(spec, x, parameters)));
    EXPECT_TRUE(dequantize(spec, quantize_codes(spec, value, parameters), parameters).equal(value));
  }
}

TEST(JointFormat, PairsAreComplexSigns) {
  at::manual_seed(8);
  const auto x = at::randn({6, 64});
  const auto complex = quantize_complex_signs(at::view_as_complex(x.view({6, 32, 2})));
  const auto& spec = quant_spec_preset("complex-signs-tensor");
  const auto found = find_parameters(spec, x);
  EXPECT_TRUE(at::allclose(found.scale, complex.scale));
  EXPECT_TRUE(at::allclose(found.plane_scales.select(0, 0), complex.scale_imag));
  EXPECT_GT((found.scale - found.plane_scales).abs().min().item<double>(), 0);
  const auto codes = quantize_codes(spec, x, found).view({6, 32, 2});
  EXPECT_TRUE(at::equal(codes.select(2, 0) + codes.select(2, 1) * 2, complex.codes));
  EXPECT_TRUE(at::allclose(fake_quantize_dynamic(spec, x),
                           at::view_as_real(complex.value).reshape({6, 64})));
  EXPECT_EQ(stored_bits(spec.format), 1);
}

TEST(JointFormat, GroupsOfPairsHaveScalesOfTheirOwn) {
  at::manual_seed(9);
  const auto x = at::randn({4, 64}) * at::tensor({1, 10, 100, 1000}).view({4, 1});
  const QuantSpec& whole = quant_spec_preset("complex-signs-tensor");
  for (const Granularity& granularity :
       {Granularity(PerGroup{.axis = -1, .group_size = 16}), Granularity(PerChannel{.axis = 0}),
        Granularity(PerToken{})}) {
    const QuantSpec spec = whole.let(granularity);
    const auto value = fake_quantize_dynamic(spec, x);
    const int64_t size = std::holds_alternative<PerGroup>(granularity) ? 16 : 64;
    const auto groups = x.view({-1, size});
    for (int64_t i = 0; i < groups.size(0); ++i)
      EXPECT_TRUE(value.view({-1, size})[i].equal(fake_quantize_dynamic(whole, groups[i])));
  }
}

TEST(JointFormat, PairsThatCannotShareAScaleAreRefused) {
  const QuantSpec& whole = quant_spec_preset("complex-signs-tensor");
  const auto refuse = [](const QuantSpec& spec, at::IntArrayRef shape,
                         const std::vector<std::string>& words) {
    expect_error<c10::ValueError>([&] { fake_quantize_dynamic(spec, at::ones(shape)); }, words);
  };
  refuse(whole, {2, 3}, {"complex_signs", "even size", "[2, 3]"});
  refuse(whole.let(PerChannel{.axis = 1}), {4, 4}, {"channel of axis 1", "before the last"});
  refuse(whole.let(PerGroup{.axis = 0, .group_size = 2}), {4, 4},
         {"groups of axis 0", "last axis"});
}

TEST(JointFormat, EdgesOfTensorsAreRight) {
  for (const char* preset : {"bitmod3-g128", "bitmod4-g128", "two-binary-g128", "two-ternary-g128",
                             "complex-signs-g128"}) {
    SCOPED_TRACE(preset);
    QuantSpec spec = quant_spec_preset(preset).let(
        Granularity(PerGroup{.axis = -1, .group_size = 16, .pad = true}));
    for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
      at::manual_seed(6);
      const auto x = at::randn({5, 40}).to(dtype);
      const auto value = fake_quantize_dynamic(spec, x);
      EXPECT_EQ(value.scalar_type(), dtype);
      EXPECT_TRUE(value.equal(fake_quantize_dynamic(spec, x.t().contiguous().t())));
      EXPECT_LT((value - x).square().mean().item<double>(),
                stored_bits(spec.format) > 1 ? 0.2 : 0.7);
    }
    EXPECT_EQ(fake_quantize_dynamic(spec, at::zeros({0, 16})).numel(), 0);
    EXPECT_TRUE(fake_quantize_dynamic(spec, at::zeros({2, 16})).abs().le(1e-9).all().item<bool>());
    EXPECT_TRUE(fake_quantize_dynamic(spec, at::full({1, 2}, 3.0)).isfinite().all().item<bool>());
    EXPECT_TRUE(
        fake_quantize_dynamic(spec, at::full({1, 16}, 1e-40)).isfinite().all().item<bool>());
    const auto nan = at::full({1, 16}, std::numeric_limits<float>::quiet_NaN());
    expect_error<c10::ValueError>([&] { fake_quantize_dynamic(spec, nan); },
                                  {"finite", "16 of 16"});
    auto x = at::randn({2, 16}).set_requires_grad(true);
    fake_quantize_dynamic(spec, x).sum().backward();
    EXPECT_TRUE(x.grad().equal(at::ones_like(x)));
  }
}

TEST(JointFormat, NaNStaysNaNWhereItMay) {
  for (const char* format : {"bitmod3", "two_binary", "complex_signs"}) {
    const auto spec = spec_of_yaml("{format: " + std::string(format) +
                                   ", granularity: token, statistic: abs_average, "
                                   "non_finite: propagate}");
    auto x = at::ones({2, 16});
    const auto parameters = find_parameters(spec, x);
    x[0][3] = std::numeric_limits<float>::quiet_NaN();
    x[1][2] = std::numeric_limits<float>::infinity();
    const auto value = fake_quantize(spec, x, parameters);
    EXPECT_TRUE(value[0][3].isnan().item<bool>() && value[1][2].isnan().item<bool>());
    EXPECT_EQ(value.isnan().sum().item<int64_t>(), 2);
    expect_error<c10::ValueError>([&] { quantize_codes(spec, x, parameters); }, {"2 of 32"});
  }
}

TEST(JointFormat, ContradictionsNameBothParts) {
  const auto refuse = [](const std::string& text, const std::vector<std::string>& words) {
    SCOPED_TRACE(text);
    expect_error<c10::ValueError>([&] { spec_of_yaml(text); }, words);
  };
  refuse("{format: choice, tables: [[1, 2, 3], [1, 2]]}", {"r.yaml:1:1", "as many", "3", "2"});
  refuse("{format: choice, tables: [[1, 2]]}", {"2 to 256 tables", "got 1"});
  refuse("{format: choice, tables: [1, 2]}", {"r.yaml:1:18", "list of lists", "got \"1\""});
  refuse("{format: choice, tables: [[1, 2], [1, nan]]}", {"finite number", "nan"});
  refuse("{format: choice, tables: \"[[1, 2\"}", {"list of lists"});
  refuse("{format: choice, tables: []}", {"2 to 256 tables", "got 0"});
  refuse("{format: bitmod3, scale: learned}", {"scale learned", "format bitmod3"});
  refuse("{format: bitmod3, scale: static}", {"scale static", "format bitmod3"});
  refuse("{format: bitmod3, statistic: min_max, zero_point: integer}",
         {"zero point integer", "format bitmod3"});
  refuse("{format: bitmod3, bit_width: learned}", {"learned bit width", "format choice"});
  refuse("{format: bitmod3, restriction: quantized_by, scale_quantizer: {bits: 8}}",
         {"scale statistic of scale_quantizer", "format bitmod3"});
  refuse("{bits: 4, restriction: quantized_by, scale_quantizer: {format: bitmod4}}",
         {"format bitmod4", "scale_quantizer"});
  refuse("{format: two_binary, scale: constant}", {"scale constant", "format two_binary"});
  refuse("{format: two_binary, rounding: floor}", {"floor", "format two_binary"});
  refuse("{format: two_binary, gradient: clipped}", {"clipped", "format two_binary"});
  refuse("{format: two_binary, statistic: min_max, zero_point: float}",
         {"zero point float", "format two_binary"});
  const std::string signs = "{format: complex_signs, statistic: abs_average, ";
  refuse("{format: complex_signs}", {"scale statistic", "format complex signs", "abs_average"});
  refuse(signs + "granularity: group, group_size: 15}", {"group", "format complex signs"});
  refuse(signs + "granularity: channel, axis: -1}", {"channel", "format complex signs"});
  refuse(signs + "restriction: power_of_two}", {"restriction", "format complex signs"});
  refuse(signs + "rounding: floor}", {"floor", "format complex signs"});
  refuse("{format: planes, planes: 1}", {"2 to 4 planes", "got 1"});
  refuse("{format: planes, planes: 2, plane_rounds: -1}", {"plane_rounds", "-1"});
  EXPECT_NO_THROW(
      spec_of_yaml("{format: bitmod3, granularity: group, group_size: 32, restriction: "
                   "quantized_by, scale_quantizer: {format: e4m3, scale: constant}}"));
}

TEST(JointFormat, CodesAloneAreRefused) {
  const auto x = at::ones({2, 16});
  for (const Format& format :
       {Format(bitmod_tables(3)), Format(PlaneSumFormat{}), Format(ComplexSignsFormat{})}) {
    EXPECT_TRUE(is_joint(format));
    const QuantSpec spec = QuantSpec{}.let(format, AbsAverage{});
    expect_error<c10::NotImplementedError>([&] { decode(format, at::zeros({2}), at::kFloat); },
                                           {"whole quantizer"});
    expect_error<c10::NotImplementedError>([&] { encode(format, x); }, {"whole quantizer"});
    expect_error<c10::NotImplementedError>([&] { quantize(spec, x); },
                                           {"[QuantTensor]", describe(format)});
    const QuantParameters one{at::ones({}), {}};
    expect_error<c10::ValueError>([&] { fake_quantize(spec, x, one); }, {"find_parameters"});
  }
  const QuantSpec spec = QuantSpec{}.let(Format(bitmod_tables(3)));
  auto wrong = find_parameters(spec, x);
  wrong.choice.fill_(4);
  expect_error<c10::ValueError>([&] { fake_quantize(spec, x, wrong); }, {"0 to 3"});
}

}  // namespace
}  // namespace laconic
