#include "laconic/recipe/recipe.h"

#include <fstream>

#include "laconic/recipe/preset_table.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::expect_error;

const std::string kGood =
    "name: mine\n"
    "calibration: {windows: 4, length: 32, seed: 7, quantized_inputs: false}\n"
    "rules:\n"
    "  - layers: blocks\n"
    "    weight: {bits: 4, granularity: group, group_size: 32}\n"
    "    solver: gptq\n"
    "    solver_options: {damping: 0.05}\n"
    "  - layers: [\"*.down_proj\", \"re:.*[.]o_proj\"]\n"
    "    skip: true\n";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expect_fault(const std::string& yaml, const std::vector<std::string>& words) {
  SCOPED_TRACE(yaml);
  expect_error<c10::ValueError>([&] { parse_recipe(yaml, "r.yaml"); }, words);
}

TEST(Recipe, EveryFieldIsRead) {
  const Recipe recipe = parse_recipe(kGood, "r.yaml");
  EXPECT_EQ(recipe.name, "mine");
  EXPECT_EQ(recipe.calibration, (Recipe::Calibration{4, 32, 7, "text", false}));
  ASSERT_EQ(recipe.rules.size(), 2u);
  EXPECT_EQ(recipe.rules[0].layers[0].text, "blocks");
  EXPECT_EQ(recipe.rules[0].weight,
            QuantSpec{}.let(IntFormat{.bit_width = 4},
                            Granularity(PerGroup{.axis = 1, .group_size = 32})));
  EXPECT_EQ(recipe.rules[0].solver, "gptq");
  EXPECT_EQ(recipe.rules[0].solver_options, (nlohmann::json{{"damping", 0.05}}));
  EXPECT_EQ(recipe.rules[1].layers[1].text, "re:.*[.]o_proj");
  EXPECT_EQ(recipe.rules[1].layers[0].where, "r.yaml:8:14");
  EXPECT_TRUE(recipe.rules[1].skip);
}

TEST(Recipe, TransformsAreReadInTheirOrder) {
  const Recipe recipe = parse_recipe(
      "transforms: [{name: fold_norms}, {name: rotate, residual: hadamard, online: true}]\n" +
          kGood,
      "r.yaml");
  ASSERT_EQ(recipe.transforms.size(), 2u);
  EXPECT_EQ(recipe.transforms[0], (TransformStep{"fold_norms", nlohmann::json::object()}));
  EXPECT_EQ(recipe.transforms[1],
            (TransformStep{"rotate", {{"residual", "hadamard"}, {"online", true}}}));
  EXPECT_EQ(parse_recipe(to_yaml(recipe), "printed"), recipe);
}

TEST(Recipe, FaultsInTransformsAreNamed) {
  const auto fault = [](const std::string& transforms, const std::vector<std::string>& words) {
    expect_fault("transforms: " + transforms + "\nrules: [{weight: {bits: 4}}]", words);
  };
  fault("[{name: rotat}]", {"r.yaml:1:21: ", "unknown transform \"rotat\"", "\"rotate\""});
  fault("[{name: rotate, onlin: true}]", {"r.yaml:1:29: ", "onlin", "\"online\""});
  fault("[{name: rotate, online: 3}]", {"r.yaml:1:14: ", "online", "expected true or false"});
  fault("[{online: true}]", {"r.yaml:1:14: ", "no \"name\"", "rotate"});
  fault("rotate", {"r.yaml:1:13: ", "transforms: expected a list"});
}

TEST(Recipe, AttentionRulesAreRead) {
  const Recipe recipe = parse_recipe(
      kGood +
          "attention:\n  - keys: {bits: 4, granularity: token}\n"
          "    values: {bits: 4, granularity: group, axis: -1, group_size: 32}\n    residual: 64\n"
          "  - {layers: \"model.layers.0.*\", skip: true}\n"
          "  - {layers: \"model.layers.1.*\", probabilities: {bits: 8, signed: false, granularity: "
          "token}}\n",
      "r.yaml");
  ASSERT_EQ(recipe.attention.size(), 3u);
  EXPECT_EQ(recipe.attention[2].quantizers.probabilities,
            QuantSpec{}.let(IntFormat{8, false}, Granularity(PerToken{})));
  EXPECT_EQ(recipe.attention[0].layers[0].text, "*");
  EXPECT_EQ(recipe.attention[0].quantizers.residual, 64);
  EXPECT_EQ(recipe.attention[0].quantizers.keys,
            QuantSpec{}.let(IntFormat{.bit_width = 4}, Granularity(PerToken{})));
  EXPECT_EQ(recipe.attention[0].quantizers.probabilities, std::nullopt);
  EXPECT_FALSE(recipe.attention[0].quantizers.queries);
  EXPECT_TRUE(recipe.attention[1].skip);
  EXPECT_EQ(parse_recipe(to_yaml(recipe), "printed"), recipe);
}

TEST(Recipe, FaultsInAttentionRulesAreNamed) {
  const auto fault = [](const std::string& attention, const std::vector<std::string>& words) {
    expect_fault("rules: [{weight: {bits: 4}}]\nattention: " + attention, words);
  };
  fault("{keys: {bits: 4}}", {"r.yaml:2:12: ", "attention: expected a list"});
  fault("[{key: {bits: 4}}]", {"r.yaml:2:14: ", "\"keys\""});
  fault("[{}]", {"expected quantizers (queries, keys, values, probabilities)", "neither"});
  fault("[{skip: true, keys: {bits: 4, granularity: token}}]", {"got both"});
  fault("[{keys: {bits: 4}}]", {"keys: expected granularity token"});
  fault("[{values: {bits: 4, granularity: group, group_size: 8, axis: 0}}]",
        {"values: expected granularity token"});
  fault("[{values: {bits: 4, granularity: token, scale: learned}}]",
        {"values: scale", "got learned"});
  fault("[{queries: {bits: 4, granularity: token}, residual: 4}]", {"residual"});
  fault("[{probabilities: {bits: 8}}]", {"probabilities: expected granularity token"});
  fault(
      "[{keys: {bits: 4, granularity: token}, residual: 4, "
      "probabilities: {bits: 8, granularity: token}}]",
      {"residual keeps the last", "Remove one"});
  fault("[{keys: {bits: 4, granularity: token}, residual: -1}]", {"residual"});
}

TEST(Recipe, WhatIsLeftOutHasItsDefault) {
  const Recipe recipe = parse_recipe("rules: [{weight: {bits: 4}}]", "r.yaml");
  EXPECT_EQ(recipe.calibration, Recipe::Calibration{});
  EXPECT_EQ(recipe.rules[0].solver, "nearest");
  EXPECT_EQ(recipe.rules[0].layers, (std::vector<LayerPattern>{{"blocks", ""}}));
}

TEST(Recipe, EveryPresetPrintsAsYamlThatReadsBackEqual) {
  ASSERT_GE(preset_names().size(), 8u);
  for (const std::string& name : preset_names()) {
    SCOPED_TRACE(name);
    const Recipe recipe = load_recipe(name);
    EXPECT_EQ(recipe.name, name);
    EXPECT_NE(recipe.description, "");
    EXPECT_EQ(parse_recipe(to_yaml(recipe), "printed"), recipe);
  }
}

TEST(Recipe, OddTextsAndOptionsPrintAsYamlThatReadsBackEqual) {
  Recipe recipe = parse_recipe(kGood, "r.yaml");
  recipe.name = "true";
  recipe.description = "a: \"b\" # c\n\t{[é";
  recipe.rules[1].layers = {{"8", ""}, {"*", ""}, {"re:a|b", ""}};
  recipe.rules[0].solver_options = {
      {"activation_order", true}, {"damping", 1e-3}, {"group_scales", "before"}};
  EXPECT_EQ(parse_recipe(to_yaml(recipe), "printed"), recipe);
}

TEST(Recipe, ThePresetsOfTheContractAreThere) {
  for (const std::string name : {"w8a16", "w4a16", "w4a16-g128", "w4a16-g128-gptq", "w4a16-gptq",
                                 "w3a16-g64-gptq", "w8a8-dynamic", "gguf-q4_0-gptq"}) {
    EXPECT_THAT(preset_names(), ::testing::Contains(name));
  }
}

TEST(Recipe, EveryPresetSaysInItsFirstLineWhatItIs) {
  for (const Preset& preset : preset_table())
    EXPECT_GT(preset_summary(preset).size(), 20u) << preset.name;
}

TEST(RecipeFault, UnknownKeyIsNamedWithLineColumnAndNearestWord) {
  expect_fault(with("group_size", "gruop_size"),
               {"r.yaml:5:43: ", "\"gruop_size\"", "did you mean \"group_size\"?"});
  expect_fault(with("calibration:", "calibraton:"),
               {"r.yaml:2:1: ", "\"calibraton\"", "did you mean \"calibration\"?"});
  expect_fault(with("windows", "window"), {"r.yaml:2:15: ", "did you mean \"windows\"?"});
  expect_fault(with("skip", "skp"), {"r.yaml:9:5: ", "did you mean \"skip\"?"});
  expect_fault(with("damping", "dampening"), {"r.yaml:7:22: ", "did you mean \"damping\"?"});
}

TEST(RecipeFault, WrongValueIsNamedWithLineAndColumn) {
  expect_fault(with("windows: 4", "windows: four"),
               {"r.yaml:2:24: ", "windows", "whole number from 1", "\"four\""});
  expect_fault(with("windows: 4", "windows: 0"), {"r.yaml:2:24: ", "\"0\""});
  expect_fault(with("windows: 4", "windows: [4]"), {"r.yaml:2:24: ", "a list"});
  expect_fault(with("seed: 7", "seed: -7"), {"seed", "\"-7\""});
  expect_fault(with("seed: 7", "seed: 99999999999999999999"), {"seed", "\"99999999999999999999\""});
  expect_fault(with("inputs: false", "inputs: no"),
               {"quantized_inputs", "true or false", "\"no\""});
  expect_fault(with("bits: 4", "bits: 40"), {"r.yaml:5:", "40"});
  expect_fault(with("bits: 4", "bits: x"), {"r.yaml:5:14: ", "\"x\""});
  expect_fault(with("granularity: group", "granularity: gruop"),
               {"r.yaml:5:", "did you mean \"group\"?"});
  expect_fault(with("solver: gptq", "solver: gtpq"), {"r.yaml:6:13: ", "did you mean \"gptq\"?"});
  expect_fault(with("damping: 0.05", "damping: -1"), {"r.yaml:7:21: ", "damping"});
  expect_fault(with("{damping: 0.05}", "3"), {"r.yaml:7:21: ", "solver_options", "mapping"});
  expect_fault(with("re:.*[.]o_proj", "re:("), {"r.yaml:8:", "regular expression"});
  expect_fault(with("layers: blocks", "layers: []"), {"r.yaml:4:13: ", "empty list"});
  expect_fault(with("layers: blocks", "layers: {a: b}"), {"r.yaml:4:13: ", "a mapping"});
  expect_fault(with("{bits: 4, granularity: group, group_size: 32}", "int4"),
               {"r.yaml:5:13: ", "mapping"});
}

TEST(RecipeFault, WhatIsMissingOrContradictsIsNamed) {
  expect_fault("name: x\n", {"r.yaml:1:1: ", "no \"rules\""});
  expect_fault("rules: []\n", {"r.yaml:1:8: ", "empty list"});
  expect_fault("rules: {a: b}\n", {"r.yaml:1:8: ", "a mapping"});
  expect_fault("rules: [4]\n", {"r.yaml:1:9: ", "rule: expected a mapping", "\"4\""});
  expect_fault("rules: [{layers: blocks}]\n", {"r.yaml:1:9: ", "weight", "skip"});
  expect_fault("rules: [{skip: true, weight: {bits: 4}}]\n", {"r.yaml:1:9: ", "skip"});
  expect_fault("rules: [{weight: {bits: 4, granularity: token}}]\n", {"r.yaml:1:18: ", "token"});
  expect_fault("rules: [{weight: {format: bitmod3}, solver: adaround}]\n",
               {"r.yaml:1:45: ", "adaround", "format bitmod3", "nearest"});
  expect_fault("rules: [{weight: {format: two_binary}, solver: gptq}]\n",
               {"r.yaml:1:48: ", "gptq", "format two_binary", "nearest"});
  expect_fault("rules: [{weight: {format: two_binary}, solver: autoround}]\n",
               {"r.yaml:1:48: ", "autoround", "format two_binary", "nearest"});
  expect_fault(
      "rules: [{weight: {bits: 4}}]\nattention: [{keys: {format: two_binary, granularity: "
      "token}}]\n",
      {"r.yaml:2:", "keys", "two_binary"});
  expect_fault("- a\n", {"r.yaml:1:1: ", "recipe: expected a mapping"});
  expect_fault("just words\n", {"r.yaml:1:1: ", "\"just words\""});
}

TEST(LoadRecipe, SettingsChangeAPreset) {
  const std::vector<std::string> settings = {"weight.bits=3", "calibration.windows=9",
                                             "rules.0.solver_options.damping=0.5"};
  const Recipe recipe = load_recipe("w4a16-g128-gptq", settings);
  EXPECT_EQ(std::get<IntFormat>(recipe.rules[0].weight->format).bit_width, 3);
  EXPECT_EQ(recipe.calibration.windows, 9);
  EXPECT_EQ(recipe.rules[0].solver_options["damping"], 0.5);
}

TEST(LoadRecipe, FaultOfASettingNamesTheSettingAndNoLine) {
  const auto load = [](const std::string& setting) {
    return [setting] { load_recipe("w4a16", std::vector<std::string>{setting}); };
  };
  expect_error<c10::ValueError>(
      load("weight.bitz=3"), {"preset w4a16 with --set weight.bitz=3: ", "did you mean \"bits\"?"});
  expect_error<c10::ValueError>(load("calibration.windws=3"),
                                {"--set calibration.windws=3: ", "did you mean \"windows\"?"});
  expect_error<c10::ValueError>(load("weight.bits=99"), {"--set weight.bits=99: ", "99"});
}

TEST(LoadRecipe, FileIsReadAndNamedByItsStem) {
  const testing::TemporaryDirectory directory;
  const auto path = directory / "own.yaml";
  std::ofstream(path) << "rules: [{weight: {bits: 5}}]\n";
  EXPECT_EQ(load_recipe(path.string()).name, "own");
  std::ofstream(path) << "rules: [{weight: {bit: 5}}]\n";
  expect_error<c10::ValueError>([&] { load_recipe(path.string()); },
                                {path.string() + ":1:19: ", "\"bit\""});
  expect_error<c10::ValueError>([&] { load_recipe((directory / "absent.yaml").string()); },
                                {"absent.yaml", "No such file"});
  expect_error<c10::ValueError>([] { load_recipe("w4a61"); },
                                {"unknown preset", "did you mean \"w4a16\"?", "path"});
}

}  // namespace
}  // namespace laconic
