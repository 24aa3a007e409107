// Quantizers of every format, composed with the other parts.
#include <nlohmann/json.hpp>

#include "laconic/kernel/pack.h"
#include "laconic/quant/format/complex_signs.h"
#include "laconic/quant/quantizer/block_formats.h"
#include "laconic/quant/quantizer/format_choice.h"
#include "laconic/quant/quantizer/json.h"
#include "laconic/quant/quantizer/planes.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

std::vector<Format> all_formats() {
  std::vector<Format> all = {IntFormat{4},
                             IntFormat{12},
                             BinaryFormat{},
                             TernaryFormat{.threshold = 0.7},
                             PowerSumFormat{},
                             PowerSumFormat{.bit_width = 5, .terms = 2, .root = 2},
                             TableFormat{{-1, 0.125, 2.5}},
                             MinifloatFormat{.exponent_bits = 3, .mantissa_bits = 0},
                             MinifloatFormat{.exponent_bits = 5, .mantissa_bits = 6}};
  for (const auto& [name, format] : named_formats()) {
    if (format != Format(e8m0())) all.push_back(format);  // scales only: it has no zero
  }
  return all;
}

std::vector<QuantSpec> format_specs() {
  std::vector<QuantSpec> all;
  for (const Format& format : all_formats()) {
    for (const Granularity& granularity :
         {Granularity(PerTensor{}), Granularity(PerGroup{.axis = -1, .group_size = 16}),
          Granularity(PerGroup{.axis = 0, .group_size = 5, .pad = true})}) {
      const auto base = QuantSpec{}.let(format, granularity);
      all.push_back(base);
      all.push_back(base.let(Mse{}, Restriction(StoredAs{})));
      all.push_back(
          base.let(AbsAverage{}, PowerOfTwo{PowerRounding::kFloor}, Threshold::kLargestPower));
      if (std::holds_alternative<PlaneSumFormat>(format)) continue;
      all.push_back(base.let(MinMax{}, FloatZeroPoint{}));
      if (format.index() != Format(TernaryFormat{}).index()) all.push_back(base.let(Floor{}));
    }
  }
  for (const QuantSpec& spec :
       {mx(e4m3()), mx(e2m1(), BlockScale::kCeil), mx(IntFormat{8}, BlockScale::kNearest),
        mx(e3m2(), BlockScale::kFloor), nvfp4(), block_float(5, 16), double_quantized_nf4(2),
        super_block({.bits = 3, .block = 16, .scale_bits = 6, .blocks = 4}),
        super_block_with_minimum({.bits = 4, .block = 32, .scale_bits = 6, .blocks = 2})})
    all.push_back(spec);
  return all;
}

TEST(EveryFormatSpec, GivesCodesThatAreWorthTheValueAndStay) {
  at::manual_seed(1);
  const auto x = at::randn({6, 64}) + 0.1;
  for (const QuantSpec& spec : format_specs()) {
    SCOPED_TRACE(to_string(spec));
    const auto parameters = find_parameters(spec, x);
    EXPECT_EQ(parameters.scale.sizes(), at::IntArrayRef(scale_shape(x.sizes(), spec.granularity)));
    EXPECT_TRUE(parameters.scale.gt(0).all().item<bool>());
    const auto codes = quantize_codes(spec, x, parameters);
    const auto value = dequantize(spec, codes, parameters);
    EXPECT_TRUE(value.isfinite().all().item<bool>());
    EXPECT_TRUE(at::equal(value, fake_quantize(spec, x, parameters)));
    EXPECT_TRUE(at::equal(value, fake_quantize_dynamic(spec, x)));
    EXPECT_TRUE(codes.ge(code_range(spec.format).q_min).all().item<bool>());
    EXPECT_TRUE(codes.le(code_range(spec.format).q_max).all().item<bool>());
    // Floor may take the number below a product that was rounded down.
    if (std::holds_alternative<Floor>(spec.rounding)) continue;
    EXPECT_TRUE(
        at::equal(dequantize(spec, quantize_codes(spec, value, parameters), parameters), value));
    if (is_joint(spec.format)) continue;  // a QuantTensor has no room for what its codes need
    // Beside a zero point 0 and -0 are one value.
    const auto again = codes_of(quantize(spec, x));
    EXPECT_TRUE(
        at::equal(decode(spec.format, again, at::kFloat), decode(spec.format, codes, at::kFloat)));
  }
}

TEST(EveryFormatSpec, ReadsBackFromYamlAndJson) {
  for (const QuantSpec& spec : format_specs()) {
    EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test"), spec) << to_yaml(spec);
    EXPECT_EQ(quant_spec_from_json(to_json(spec), "test"), spec) << to_json(spec).dump();
  }
  EXPECT_EQ(quant_spec_from_yaml("{format: table, values: [1, -1, 0.5]}", "test").format,
            Format(TableFormat{{1, -1, 0.5}}));
  EXPECT_EQ(quant_spec_from_yaml("{format: e5m2, saturating: false}", "test").format, Format([] {
              auto format = e5m2();
              format.saturating = false;
              return format;
            }()));
  expect_error<c10::ValueError>(
      [] { quant_spec_from_yaml("{format: table, values: [1, x]}", "r.yaml"); },
      {"r.yaml:1:17", "finite number", "x"});
  expect_error<c10::ValueError>([] { quant_spec_from_yaml("{format: e0m0}", "r.yaml"); },
                                {"r.yaml", "e0m0", "unknown value"});
}

TEST(EveryFormatSpec, RefusesAWholeZeroPointBesideAnotherFormatThanIntegers) {
  for (const Format& format : all_formats()) {
    if (std::holds_alternative<IntFormat>(format)) continue;
    expect_error<c10::ValueError>([&] { QuantSpec{}.let(format, MinMax{}, IntegerZeroPoint{}); },
                                  {"zero point integer", "format " + describe(format)});
  }
  expect_error<c10::ValueError>([] { QuantSpec{}.let(TernaryFormat{}, Floor{}); },
                                {"floor", "ternary"});
}

TEST(CustomFormat, IsAListOfNumbersFoundByName) {
  const CustomFormat own{"cubes", {{"steps", 2}}, [](const CustomParameters& numbers) {
                           std::vector<double> values;
                           for (double k = -numbers.at("steps"); k <= numbers.at("steps"); ++k)
                             values.push_back(k * k * k);
                           return values;
                         }};
  QuantParts parts;
  parts.formats = {own};
  const auto spec = quant_spec_from_yaml("{format: cubes, steps: 3}", "test", parts);
  EXPECT_EQ(spec.format, Format(own.with("steps", 3)));
  EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test", parts), spec);
  EXPECT_EQ(stored_bits(spec.format), 3);
  const auto scaled = spec.let(Scale(ConstantScale{}));
  EXPECT_TRUE(fake_quantize_dynamic(scaled, at::tensor({-20.0, 3.0, 5.0, 99.0}))
                  .equal(at::tensor({-27.0, 1.0, 8.0, 27.0})));
}

TEST(Mx, HasTheScalesOfItsRules) {
  // absmax 5 and 7: against the largest of e2m1, 6, quotients of 0.83 and 1.17.
  const auto x = at::tensor({5.0, 0.0, -7.0, 0.0}).view({1, 4});
  const auto scales = [&](BlockScale rule) {
    return find_parameters(mx(e2m1(), rule, 2), x).scale.flatten();
  };
  EXPECT_TRUE(scales(BlockScale::kOcp).equal(at::tensor({1.0f, 1.0f})));
  EXPECT_TRUE(scales(BlockScale::kFloor).equal(at::tensor({0.5f, 1.0f})));
  EXPECT_TRUE(scales(BlockScale::kCeil).equal(at::tensor({1.0f, 2.0f})));
  EXPECT_TRUE(scales(BlockScale::kNearest).equal(at::tensor({1.0f, 1.0f})));
  // MXINT8: 1.5 is code 96 of 2^-6.
  const auto q =
      quantize(mx(IntFormat{8}, BlockScale::kOcp, 2), at::tensor({1.5, 1.0}).view({1, 2}));
  EXPECT_EQ(q.scale.item<double>(), 0x1p-6);
  EXPECT_TRUE(q.value.equal(at::tensor({1.5, 1.0}).view({1, 2}).to(q.value.scalar_type())));
}

TEST(SuperBlock, HasScalesAndMinimaOfItsBits) {
  at::manual_seed(2);
  const auto x = at::randn({3, 256});
  const auto spec =
      super_block_with_minimum({.bits = 4, .block = 32, .scale_bits = 6, .blocks = 8});
  const auto found = find_parameters(spec, x);
  const auto low = x.view({3, 8, 32}).amin(-1).clamp_max(0);
  const auto high = x.view({3, 8, 32}).amax(-1).clamp_min(0);
  const auto coded = [](const at::Tensor& numbers) {
    const auto d = (numbers.amax(-1, true) / 63).to(at::kHalf).to(at::kFloat);
    return (numbers / d).round().clamp(0, 63) * d;
  };
  EXPECT_TRUE(found.scale.squeeze(-1).allclose(coded((high - low) / 15)));
  EXPECT_TRUE((found.scale * found.zero_point).squeeze(-1).allclose(coded(-low)));
}

TEST(Planes, SumUpToLessErrorWithEachPlaneAndRound) {
  at::manual_seed(3);
  const auto x = at::randn({8, 32});
  const auto error = [&](const PlanesSpec& spec) {
    const auto tensor = quantize_planes(spec, x);
    EXPECT_EQ(tensor.planes.size(), spec.planes.size());
    return (value_of(tensor) - x).square().sum().item<double>();
  };
  PlanesSpec binary = two_binary_planes(PerChannel{0});
  EXPECT_EQ(bits_of(binary), 2);
  const double two = error(binary);
  binary.planes.pop_back();
  EXPECT_LT(two, 0.5 * error(binary));
  PlanesSpec ternary = ternary_planes(3, PerChannel{0});
  const double refined = error(ternary);
  ternary.rounds = 0;
  EXPECT_LE(refined, error(ternary));
  const auto w2 = QuantSpec{}.let(IntFormat{2}, PerChannel{0});
  EXPECT_LT(error(low_rank(4, w2)), error(PlanesSpec{{w2}}));
  EXPECT_LT(error(low_rank(8, w2.let(IntFormat{16}))), 1e-4);
}

TEST(Planes, RefuseWhatTheyCannotBe) {
  const auto x = at::ones({4, 4});
  expect_error<c10::ValueError>([&] { quantize_planes({}, x); }, {"plane", "none"});
  expect_error<c10::ValueError>([&] { quantize_planes(low_rank(5, QuantSpec{}), x); },
                                {"rank 5", "[4, 4]"});
  expect_error<c10::ValueError>(
      [&] {
        quantize_planes({{QuantSpec{}}, 0, -1}, x);
      },
      {"rounds", "-1"});
}

TEST(FormatChoice, IsNeverWorseThanOneOfItsFormatsInAnyGroup) {
  at::manual_seed(4);
  const auto x = at::randn({4, 256});
  for (const int64_t bits : {3, 4}) {
    const FormatChoice choice = bitmod(bits, 64);
    const auto chosen = quantize(choice, x);
    const auto error = [&](const at::Tensor& value) {
      return (value - x).square().view({4, 4, 64}).sum(-1);
    };
    for (const Format& format : choice.formats) {
      EXPECT_EQ(stored_bits(format), bits);
      const auto alone = fake_quantize_dynamic(choice.quantizer.let(format), x);
      EXPECT_TRUE(error(chosen.value).le(error(alone)).all().item<bool>());
    }
    EXPECT_TRUE(dequantize(choice, chosen.codes, chosen.parameters).equal(chosen.value));
    EXPECT_EQ(chosen.parameters.choice.sizes(), at::IntArrayRef({4, 4, 1}));
  }
}

TEST(FormatChoice, HasTheErrorOfThePaperOnNormalNumbers) {
  at::manual_seed(5);
  const auto x = at::randn({128, 1024});
  const auto error = [&](int64_t bits) {
    return (quantize(bitmod(bits), x).value - x).square().mean().item<double>();
  };
  EXPECT_NEAR(error(3), 0.0380, 0.0008);
  EXPECT_NEAR(error(4), 0.0096, 0.0003);
}

TEST(FormatChoice, RefusesFormatsOfSeveralWidths) {
  expect_error<c10::ValueError>(
      [] {
        quantize(FormatChoice{QuantSpec{}, {e2m1(), e4m3()}}, at::ones({4}));
      },
      {"one width", "e2m1", "e4m3"});
  expect_error<c10::ValueError>(
      [] {
        quantize(FormatChoice{QuantSpec{}, {e2m1()}}, at::ones({4}));
      },
      {"2 to 256", "1"});
  expect_error<c10::ValueError>([] { bitmod(5); }, {"3 or 4", "5"});
}

TEST(ComplexSigns, CoverThePlaneAndRoundTripTheirCodes) {
  const auto re = at::tensor({2.0, 0.5, -3.0, 0.2, 1.0, -1.0, -1.0, 1.0, 0.0}).to(at::kFloat);
  const auto im = at::tensor({1.0, 1.0, 0.0, -4.0, 1.0, 1.0, -1.0, -1.0, 0.0}).to(at::kFloat);
  const auto x = at::complex(re, im);
  const auto found = quantize_complex_signs(x);
  const auto codes = at::tensor({0, 1, 2, 3, 1, 2, 3, 0, 0}, at::kByte);
  EXPECT_TRUE(found.codes.equal(codes));
  EXPECT_NEAR(found.scale.item<double>(), (2.0 + 3 + 1 + 1 + 0) / 5, 1e-6);
  EXPECT_NEAR(found.scale_imag.item<double>(), (1.0 + 4 + 1 + 1) / 4, 1e-6);
  const auto one = decode_complex_signs(codes);
  EXPECT_TRUE(quantize_complex_signs(one).codes.equal(codes));
  EXPECT_TRUE(at::real(found.value).equal(at::real(one) * found.scale));
  EXPECT_TRUE(at::imag(found.value).equal(at::imag(one) * found.scale_imag));
  const auto packed = pack_rows(codes.unsqueeze(0), 2);
  EXPECT_TRUE(unpack_rows(packed, 2, 9).to(at::kByte).equal(codes.unsqueeze(0)));
  expect_error<c10::TypeError>([&] { quantize_complex_signs(re); }, {"complex tensor", "Float"});
  expect_error<c10::ValueError>([] { decode_complex_signs(at::tensor({4})); }, {"0 to 3"});
}

TEST(ComplexSigns, PassTheGradientToBothParts) {
  auto x = at::randn({5}, at::kComplexFloat).set_requires_grad(true);
  const auto value = quantize_complex_signs(x).value;
  (at::real(value).sum() + at::imag(value).sum() * 2).backward();
  EXPECT_TRUE(at::real(x.grad()).eq(1).all().item<bool>());
  EXPECT_TRUE(at::imag(x.grad()).eq(2).all().item<bool>());
}

}  // namespace
}  // namespace laconic
