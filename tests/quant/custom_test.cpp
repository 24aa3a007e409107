#include "laconic/quant/custom/custom.h"

#include <nlohmann/json.hpp>

#include "laconic/quant/quantizer/json.h"
#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

at::Tensor round_from(const CustomParameters& numbers, const at::Tensor& code) {
  return (code + (1 - numbers.at("fraction"))).floor();
}
at::Tensor times_rms(const CustomParameters& numbers, const at::Tensor& rows) {
  return rows.square().mean(1).sqrt() * numbers.at("times");
}
at::Tensor eighths(const CustomParameters&, const at::Tensor& scale) {
  return (scale * 8).ceil() / 8;
}
at::Tensor middle(const CustomParameters& numbers, const at::Tensor& minimum, const at::Tensor&,
                  const CodeBounds& bounds) {
  return bounds.q_min + numbers.at("offset") + minimum * 0;
}
at::Tensor half_gradient(const CustomParameters&, const at::Tensor& code, const at::Tensor& q_min,
                         const at::Tensor& q_max) {
  const auto clamped = code.detach().clamp(q_min, q_max);
  return clamped + (code - code.detach()) * 0.5;
}
at::Tensor unit_scale(const CustomParameters& numbers, const at::Tensor& rows, const CodeBounds&) {
  return at::full({rows.size(0)}, numbers.at("unit"), rows.options());
}
Layout square_blocks(const CustomParameters& numbers, at::IntArrayRef sizes) {
  const auto side = static_cast<int64_t>(numbers.at("side"));
  return {{sizes[0] / side, side, sizes[1] / side, side}, {sizes[0] / side, 1, sizes[1] / side, 1}};
}

const CustomRounding kRoundFrom{"round_from", {{"fraction", 0.5}}, round_from};
const CustomStatistic kTimesRms{"times_rms", {{"times", 3}}, times_rms};
const CustomRestriction kEighths{"eighths", {}, eighths};
const CustomZeroPoint kMiddle{"middle", {{"offset", 8}}, middle};
const CustomGradient kHalfGradient{"half_gradient", {}, half_gradient};
const CustomScale kUnitScale{"unit", {{"unit", 0.25}}, unit_scale};
const CustomGranularity kSquareBlocks{"square", {{"side", 2}}, square_blocks};

QuantParts all_parts() {
  return {.granularities = {kSquareBlocks},
          .scales = {kUnitScale},
          .statistics = {kTimesRms},
          .restrictions = {kEighths},
          .zero_points = {kMiddle},
          .roundings = {kRoundFrom},
          .gradients = {kHalfGradient}};
}

TEST(Custom, EveryKindIsUsedByTheQuantizer) {
  const auto x = at::tensor({0.3, 0.9, -0.2, 4.0, 0.1, -0.4, 0.0, 2.0}).reshape({2, 4});
  const auto value = [&](const QuantSpec& spec) { return fake_quantize_dynamic(spec, x); };
  const QuantSpec unit = QuantSpec{}.let(kUnitScale.with("unit", 0.5));
  EXPECT_TRUE(at::equal(value(unit.let(kRoundFrom.with("fraction", 0.1))),
                        at::tensor({0.5, 1.0, 0.0, 4.0, 0.5, 0.0, 0.0, 2.0}).reshape({2, 4})));
  const auto rms = find_parameters(QuantSpec{}.let(kTimesRms.with("times", 127)), x).scale;
  EXPECT_TRUE(at::allclose(rms, x.square().mean().sqrt()));
  EXPECT_EQ(find_parameters(QuantSpec{}.let(kEighths), x).scale.item<double>(), 0.125);
  EXPECT_EQ(find_parameters(unit.let(kMiddle), x).zero_point.item<double>(), -120);
  const auto blocks = find_parameters(QuantSpec{}.let(kSquareBlocks), x).scale;
  EXPECT_EQ(blocks.sizes(), at::IntArrayRef({1, 1, 2, 1}));
  EXPECT_TRUE(at::allclose(blocks.flatten() * 127, at::tensor({0.9, 4.0})));
  const auto leaf = x.clone().set_requires_grad(true);
  fake_quantize_dynamic(unit.let(kHalfGradient), leaf).sum().backward();
  EXPECT_TRUE(at::equal(leaf.grad(), at::full_like(x, 0.5)));
}

TEST(Custom, ReadsBackFromYamlAndJsonLikeOurParts) {
  const QuantParts parts = all_parts();
  const QuantSpec spec = QuantSpec{}.let(kSquareBlocks, kTimesRms.with("times", 2.5), kEighths,
                                         kMiddle, kRoundFrom.with("fraction", 0.3), kHalfGradient);
  EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test", parts), spec) << to_yaml(spec);
  EXPECT_EQ(quant_spec_from_json(to_json(spec), "test", parts), spec);
  const QuantSpec unit = QuantSpec{}.let(kUnitScale);
  EXPECT_EQ(quant_spec_from_yaml("{scale: unit}", "test", parts), unit);
  EXPECT_NE(quant_spec_from_yaml("{scale: unit, unit: 2}", "test", parts), unit);
  EXPECT_THAT(to_string(spec), ::testing::HasSubstr("round_from(fraction 0.3)"));
}

TEST(Custom, AnUnknownNameListsOursAndTheirs) {
  expect_error<c10::ValueError>([] { quant_spec_from_yaml("rounding: round_form", "r.yaml"); },
                                {"r.yaml:1:1", "round_form", "half_even"});
  const QuantParts parts = all_parts();
  expect_error<c10::ValueError>(
      [&] { quant_spec_from_yaml("rounding: round_form", "r.yaml", parts); }, {"round_from"});
  expect_error<c10::ValueError>(
      [&] { quant_spec_from_yaml("{rounding: round_from, fracton: 1}", "r.yaml", parts); },
      {"fracton", "fraction"});
  expect_error<c10::ValueError>([] { kRoundFrom.with("percent", 1); }, {"round_from", "percent"});
}

TEST(Custom, PartsThatCannotBeToldApartAreRefused) {
  const auto read = [](const QuantParts& parts) { quant_spec_from_yaml("{bits: 4}", "t", parts); };
  expect_error<c10::ValueError>(
      [&] {
        read({.roundings = {kRoundFrom, kRoundFrom}});
      },
      {"round_from", "another part"});
  expect_error<c10::ValueError>(
      [&] {
        read({.roundings = {{"floor", {}, round_from}}});
      },
      {"floor", "another part"});
  expect_error<c10::ValueError>(
      [&] {
        read({.roundings = {{"own", {{"bits", 1}}, round_from}}});
      },
      {"own", "bits"});
  expect_error<c10::ValueError>(
      [&] {
        read({.roundings = {{"own", {}, nullptr}}});
      },
      {"own", "no function"});
  expect_error<c10::ValueError>([] { QuantSpec{}.let(CustomStatistic{}); }, {"no name"});
}

TEST(Custom, ResultsOfTheWrongShapeAreRefusedByName) {
  const CustomStatistic whole{
      "whole", {}, [](const CustomParameters&, const at::Tensor& rows) { return rows.sum(); }};
  expect_error<c10::ValueError>(
      [&] {
        find_parameters(QuantSpec{}.let(PerChannel{}, whole), at::ones({3, 4}));
      },
      {"whole", "one number a row"});
  const CustomScale negative{
      "negative", {}, [](const CustomParameters&, const at::Tensor& rows, const CodeBounds&) {
        return rows.amin(1);
      }};
  expect_error<c10::ValueError>([&] { find_parameters(QuantSpec{}.let(negative), -at::ones(4)); },
                                {"negative", "more than 0"});
  expect_error<c10::ValueError>(
      [] {
        find_parameters(QuantSpec{}.let(kSquareBlocks), at::ones({3, 4}));
      },
      {"square", "[3, 4]"});
}

}  // namespace
}  // namespace laconic
