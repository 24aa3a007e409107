#include <cmath>
#include <nlohmann/json.hpp>

#include "laconic/base/variant.h"
#include "laconic/quant/quantizer/json.h"
#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

// Parts whose default does not fit the tensors here, or takes long.
template <typename Part>
Part example_of(const Part& part) {
  if constexpr (std::is_same_v<Part, PerGroup>) return {.axis = -1, .group_size = 8};
  if constexpr (std::is_same_v<Part, PerBlock>) return {.rows = 4, .columns = 8, .pad = true};
  if constexpr (std::is_same_v<Part, PerHead>) return {.heads = 4};
  if constexpr (std::is_same_v<Part, KlDivergence>) return {.bins = 65};
  if constexpr (std::is_same_v<Part, HalfQuadratic>) return {.iterations = 20};
  return part;
}

template <typename Variant>
std::vector<Variant> every() {
  std::vector<Variant> parts;
  for_each_part<Variant>([&](const auto& part) { parts.push_back(example_of(part)); });
  return parts;
}

std::vector<QuantSpec> many_specs() {
  std::vector<QuantSpec> specs;
  const auto add = [&](const QuantSpec& spec) {
    try {
      check(spec);
      specs.push_back(spec);
    } catch (const c10::ValueError&) {
      // contradictions have their own test
    }
  };
  for (const auto& granularity : every<Granularity>()) {
    for (const auto& statistic : every<Statistic>()) {
      for (const auto& restriction : every<Restriction>()) {
        for (const auto& zero_point : every<ZeroPoint>()) {
          QuantSpec spec;
          spec.format = IntFormat{.bit_width = 4,
                                  .is_signed = std::holds_alternative<NoZeroPoint>(zero_point)};
          spec.granularity = granularity;
          spec.scale = StatisticScale{{.statistic = statistic, .restriction = restriction}};
          spec.zero_point = zero_point;
          add(spec);
        }
      }
    }
  }
  return specs;
}

TEST(EverySpec, ReadsBackFromYamlAndJson) {
  const auto specs = many_specs();
  ASSERT_GT(specs.size(), 400u);
  for (const QuantSpec& spec : specs) {
    EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test"), spec) << to_yaml(spec);
    EXPECT_EQ(quant_spec_from_json(to_json(spec), "test"), spec) << to_json(spec).dump();
  }
}

TEST(EverySpec, QuantizesTwiceToTheSameAndKeepsCodesInRange) {
  at::manual_seed(3);
  const auto x = at::randn({6, 16});
  for (const QuantSpec& spec : many_specs()) {
    SCOPED_TRACE(to_string(spec));
    const auto parameters = find_parameters(spec, x);
    EXPECT_EQ(parameters.scale.sizes(), at::IntArrayRef(scale_shape(x.sizes(), spec.granularity)));
    EXPECT_TRUE(parameters.scale.isfinite().all().item<bool>());
    EXPECT_TRUE(parameters.scale.ne(0).all().item<bool>());
    const auto codes = quantize_codes(spec, x, parameters);
    const auto [q_min, q_max] = code_range(spec.format);
    EXPECT_GE(codes.min().item<int64_t>(), q_min);
    EXPECT_LE(codes.max().item<int64_t>(), q_max);
    const auto value = dequantize(spec, codes, parameters);
    EXPECT_TRUE(at::equal(value, fake_quantize(spec, x, parameters)));
    EXPECT_TRUE(at::equal(quantize_codes(spec, value, parameters), codes));
  }
}

TEST(Let, ReplacesOnePartAndKeepsTheRest) {
  const QuantSpec w4 = QuantSpec{}.let(IntFormat{.bit_width = 4},
                                       PerGroup{.axis = 1, .group_size = 32}, Mse{}, StoredAs{});
  EXPECT_EQ(std::get<IntFormat>(w4.format).bit_width, 4);
  EXPECT_EQ(std::get<StatisticScale>(w4.scale).statistic, Statistic(Mse{}));
  EXPECT_EQ(w4.let(HalfEven{}), w4);
  EXPECT_NE(w4.let(Floor{}), w4);
  expect_error<c10::ValueError>([] { QuantSpec{}.let(Scale(ConstantScale{.value = 0.1}), Mse{}); },
                                {"constant scale", "statistic"});
}

TEST(Check, NamesTheTwoPartsThatContradict) {
  expect_error<c10::ValueError>([] { QuantSpec{}.let(SignedAbsMax{}, PowerOfTwo{}); },
                                {"signed_absmax", "power_of_two"});
  expect_error<c10::ValueError>([] { QuantSpec{}.let(IntFormat{.bit_width = 0}); },
                                {"bit_width", "0"});
  expect_error<c10::ValueError>([] { QuantSpec{}.let(Percentile{.q = 101}); },
                                {"Percentile", "101"});
}

TEST(Yaml, SaysLineColumnAndTheNearestWord) {
  expect_error<c10::ValueError>([] { quant_spec_from_yaml("bits: 4\ngruop_size: 8\n", "r.yaml"); },
                                {"r.yaml:2:1", "unknown key \"gruop_size\"", "group_size"});
  expect_error<c10::ValueError>([] { quant_spec_from_yaml("bits: four", "r.yaml"); },
                                {"r.yaml:1:1", "whole number", "four"});
  expect_error<c10::ValueError>([] { quant_spec_from_yaml("rounding: half_up", "r.yaml"); },
                                {"half_up", "half_even"});
  expect_error<c10::ValueError>([] { quant_spec_from_yaml("bits: 4\nbits: 5", "r.yaml"); },
                                {"r.yaml:2:1", "twice"});
  expect_error<c10::ValueError>([] { quant_spec_from_yaml("group_size: 8", "r.yaml"); },
                                {"does not belong"});
  expect_error<c10::ValueError>([] { quant_spec_from_yaml("[1, 2", "r.yaml"); }, {"r.yaml:"});
}

TEST(PowerOfTwo, IsExactBesidePowersForEveryMagnitude) {
  const auto at_float = [](PowerRounding rounding, float x) {
    return restrict_statistic(PowerOfTwo{rounding}, at::full({}, x)).item<float>();
  };
  for (int exponent = -148; exponent <= 120; ++exponent) {
    SCOPED_TRACE(exponent);
    const float power = std::ldexp(1.0F, exponent), below = std::nextafter(power, 0.0F),
                above = std::nextafter(power, 1e38F);
    for (const PowerRounding rounding :
         {PowerRounding::kFloor, PowerRounding::kCeil, PowerRounding::kNearest})
      EXPECT_EQ(at_float(rounding, power), power);
    if (exponent < -125) continue;  // denormal numbers lie far apart
    EXPECT_EQ(at_float(PowerRounding::kFloor, below), power / 2);
    EXPECT_EQ(at_float(PowerRounding::kCeil, below), power);
    EXPECT_EQ(at_float(PowerRounding::kCeil, above), power * 2);
    EXPECT_EQ(at_float(PowerRounding::kNearest, above), power);
    const float root = std::ldexp(1.41421354F, exponent);  // the last float32 below it
    EXPECT_EQ(at_float(PowerRounding::kNearest, root), power);
    EXPECT_EQ(at_float(PowerRounding::kNearest, std::nextafter(root, 1e38F)), power * 2);
  }
}

TEST(PowerOfTwo, HasTheGradientOfThePowerOfTheRoundedLogarithm) {
  const auto x = at::tensor({0.3, 1.0, 5.0}).set_requires_grad(true);
  restrict_statistic(PowerOfTwo{PowerRounding::kCeil}, x).sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), at::tensor({0.5 / 0.3, 1.0, 8.0 / 5})));
}

}  // namespace
}  // namespace laconic
