#include "laconic/quant/quantizer/hierarchy.h"

#include <nlohmann/json.hpp>

#include "laconic/quant/quantizer/json.h"
#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

QuantSpec scales_of(const Format& format, const Granularity& granularity = PerTensor{}) {
  return QuantSpec{}.let(format, granularity);
}

/// e2m1 in groups of 16, scales e4m3 under one float scale.
QuantSpec nvfp4() {
  return QuantSpec{}.let(e2m1(), PerGroup{.axis = 1, .group_size = 16},
                         Restriction(QuantizedBy{scales_of(e4m3())}));
}

TEST(QuantizedScales, AreThoseOfTheFormulaOfNvfp4) {
  at::manual_seed(1);
  const auto x = at::randn({8, 64}) * at::rand({8, 1}).exp();
  const auto found = find_parameters(nvfp4(), x).scale;
  const auto wanted = x.view({8, 4, 16}).abs().amax(-1, true) / 6;
  const auto outer = wanted.max() / 448;
  const auto e4 = (wanted / outer).to(at::kFloat8_e4m3fn).to(at::kFloat);
  EXPECT_TRUE(found.equal(e4 * outer));
}

TEST(QuantizedScales, ReachAnyDepthAndSeeTheScalesWithoutTheSharedDimension) {
  // Groups of 8, their scales in super-blocks of 4 with 6 bits, the scales of those float16.
  const auto super = QuantSpec{}.let(IntFormat{.bit_width = 6, .is_signed = false},
                                     PerGroup{.axis = 1, .group_size = 4}, Restriction(StoredAs{}));
  const auto spec =
      QuantSpec{}.let(IntFormat{.bit_width = 4}, PerGroup{.axis = -1, .group_size = 8},
                      Restriction(QuantizedBy{super}));
  at::manual_seed(2);
  const auto x = at::randn({6, 64});
  const auto scale = find_parameters(spec, x).scale;
  EXPECT_EQ(scale.sizes(), at::IntArrayRef({6, 8, 1}));
  const auto wanted = x.view({6, 8, 8}).abs().amax(-1) / 7;
  const auto d = (wanted.view({6, 2, 4}).amax(-1, true) / 63).to(at::kHalf).to(at::kFloat);
  const auto codes = (wanted.view({6, 2, 4}) / d).round().clamp(1, 63);
  EXPECT_TRUE(scale.view({6, 2, 4}).equal(codes * d));
  const auto deeper =
      spec.let(Restriction(QuantizedBy{super.let(Restriction(QuantizedBy{scales_of(e4m3())}))}));
  EXPECT_TRUE(find_parameters(deeper, x).scale.gt(0).all().item<bool>());
}

TEST(QuantizedScales, AreNeverZeroAndPassTheGradient) {
  auto x = at::randn({4, 64});
  x[1].zero_();
  x.set_requires_grad(true);
  const auto parameters = find_parameters(nvfp4(), x);
  EXPECT_TRUE(parameters.scale.gt(0).all().item<bool>());
  fake_quantize(nvfp4(), x, parameters).square().sum().backward();
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
  EXPECT_TRUE(x.grad().ne(0).any().item<bool>());
}

TEST(QuantizedScales, AreWhatASearchTries) {
  at::manual_seed(3);
  const auto x = at::randn({4, 64});
  const auto searched = nvfp4().let(Mse{});
  const auto error = [&](const QuantSpec& spec) {
    return (fake_quantize_dynamic(spec, x) - x).square().sum().item<double>();
  };
  EXPECT_LT(error(searched), error(nvfp4()));
}

TEST(QuantizedScales, ReadBackFromYamlAndJsonAtAnyDepth) {
  for (const QuantSpec& spec :
       {nvfp4(), nvfp4().let(Restriction(QuantizedBy{nvfp4()}), Floor{}),
        nvfp4().let(Restriction(QuantizedBy{nvfp4().let(Restriction(QuantizedBy{nvfp4()}))}))}) {
    EXPECT_EQ(quant_spec_from_yaml(to_yaml(spec), "test"), spec) << to_yaml(spec);
    EXPECT_EQ(quant_spec_from_json(to_json(spec), "test"), spec) << to_json(spec).dump();
  }
  EXPECT_EQ(quant_spec_from_yaml("{format: e2m1, granularity: group, group_size: 16, restriction: "
                                 "quantized_by, scale_quantizer: {format: e4m3}}",
                                 "test"),
            nvfp4());
}

TEST(QuantizedScales, FaultsInThemSayWhereTheyStand) {
  const std::string start = "restriction: quantized_by\nscale_quantizer:\n  ";
  expect_error<c10::ValueError>([&] { quant_spec_from_yaml(start + "fromat: e4m3", "r.yaml"); },
                                {"r.yaml:3:3", "fromat", "format"});
  expect_error<c10::ValueError>([&] { quant_spec_from_yaml(start + "bits: x", "r.yaml"); },
                                {"r.yaml:3:3", "whole number"});
  expect_error<c10::ValueError>(
      [] { quant_spec_from_yaml("scale_quantizer: {bits: 4}", "r.yaml"); },
      {"r.yaml", "scale_quantizer", "does not belong"});
  expect_error<c10::ValueError>(
      [] { nvfp4().let(SignedAbsMax{}, Restriction(QuantizedBy{scales_of(e8m0())})); },
      {"signed_absmax", "e8m0"});
  expect_error<c10::ValueError>(
      [] {
        nvfp4().let(Restriction(QuantizedBy{scales_of(IntFormat{}).let(Scale(StaticScale{}))}));
      },
      {"static scale of scale_quantizer", "found anew"});
}

}  // namespace
}  // namespace laconic
