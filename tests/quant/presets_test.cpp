#include "laconic/quant/presets/presets.h"

#include <set>

#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

TEST(QuantPresets, AreSoundReadBackFromYamlAndQuantize) {
  at::manual_seed(1);
  const auto x = at::randn({16, 256});
  std::set<std::string> names;
  for (const QuantPreset& preset : quant_presets()) {
    SCOPED_TRACE(preset.name + ": " + to_string(preset));
    EXPECT_TRUE(names.insert(preset.name).second);
    const auto* spec = std::get_if<QuantSpec>(&preset.quantizer);
    if (spec == nullptr) continue;
    EXPECT_EQ(quant_spec_from_yaml(to_yaml(*spec), "test"), *spec);
    // 8 bits of a normal distribution, or the nearest power of two over its range: under 2 %.
    const auto error = (fake_quantize_dynamic(*spec, x) - x).square().mean().sqrt();
    EXPECT_LT(error.item<double>(), 0.02);
  }
  EXPECT_GE(names.size(), 40U);
}

TEST(QuantPresets, SayTheirComposition) {
  EXPECT_EQ(to_string(quant_preset("Int8WeightPerChannelFixedPoint")),
            "int8 narrow symmetric, per channel of axis 0, absmax, scale power_of_two");
  EXPECT_EQ(to_string(quant_preset("Int16Bias")),
            "int16 bias, scale of the input times scale of the weight");
  EXPECT_EQ(to_string(quant_preset("TruncTo8bit")), "to 8 bits, floor, keeps the top bits");
  EXPECT_EQ(to_string(quant_preset("NoneActQuant")), "not quantized");
}

TEST(QuantPresets, AnUnknownNameSuggestsTheNearest) {
  expect_error<c10::ValueError>([] { quant_preset("Int8WeightPerTensorFlaot"); },
                                {"Int8WeightPerTensorFlaot", "Int8WeightPerTensorFloat"});
  expect_error<c10::ValueError>([] { quant_spec_preset("Int8Bias"); }, {"Int8Bias", "int8 bias"});
  const QuantSpec down = quant_spec_preset("Int8WeightPerTensorFloat").let(Floor{});
  EXPECT_EQ(down.rounding, Rounding(Floor{}));
}

}  // namespace
}  // namespace laconic
