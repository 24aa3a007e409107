#include "laconic/quant/presets/presets.h"

#include <algorithm>
#include <fstream>
#include <set>

#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

std::vector<std::string> names_of_presets() {
  std::vector<std::string> names;
  for (const QuantPreset& preset : quant_presets()) names.push_back(preset.name);
  return names;
}

TEST(QuantPresets, AreAllThoseOfTheEstablishedLibraryThenOurs) {
  std::ifstream file(testing::repository() / "tests/quant/preset_names.txt");
  std::set<std::string> want;
  for (std::string line; std::getline(file, line);) want.insert(line);
  ASSERT_EQ(want.size(), 162U);
  const auto names = names_of_presets();
  ASSERT_GT(names.size(), want.size());
  for (size_t i = 0; i < names.size(); ++i)
    EXPECT_EQ(want.count(names[i]), i < want.size() ? 1U : 0U) << names[i];
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

TEST(QuantPresets, AreSoundAndReadBackFromYaml) {
  for (const QuantPreset& preset : quant_presets()) {
    SCOPED_TRACE(preset.name);
    EXPECT_FALSE(to_string(preset).empty());
    const auto* spec = std::get_if<QuantSpec>(&preset.quantizer);
    if (spec == nullptr) continue;
    check(*spec);
    EXPECT_EQ(quant_spec_from_yaml(to_yaml(*spec), "test"), *spec) << to_yaml(*spec);
  }
}

TEST(QuantPresets, AnUnknownNameSuggestsTheNearest) {
  expect_error<c10::ValueError>([] { quant_preset("Int8WeightPerTensorFlaot"); },
                                {"Int8WeightPerTensorFlaot", "Int8WeightPerTensorFloat"});
  expect_error<c10::ValueError>([] { quant_spec_preset("Int8Bias"); }, {"Int8Bias", "int8 bias"});
  EXPECT_EQ(quant_spec_preset("Int8WeightPerTensorFloat").let(Floor{}).rounding, Rounding(Floor{}));
}

}  // namespace
}  // namespace laconic
