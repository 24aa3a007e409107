#include "laconic/recipe/plan.h"

#include "laconic/export/gguf/gguf_export.h"
#include "laconic/file/gguf/gguf.h"
#include "laconic/quant/presets/presets.h"
#include "laconic/recipe/sizes.h"
#include "tests/testing/random_model.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using ::testing::AllOf;
using testing::expect_error;
using ::testing::HasSubstr;

const LanguageModel& tiny_lm() {
  static const LanguageModel model =
      load_language_model(testing::repository() / "assets/tiny-lm", {.resident = false});
  return model;
}

// Patterns that are compared with layer names keep their place in the recipe, so it must outlive
// the plan.
QuantizationPlan plan(const Recipe& recipe) { return plan_quantization(recipe, tiny_lm()); }

std::vector<std::string> names(const QuantizationPlan& plan) {
  std::vector<std::string> all;
  for (const LayerPlan& layer : plan.layers) all.push_back(layer.layer.name);
  return all;
}

void expect_plan_fault(const std::string& yaml, const std::vector<std::string>& words) {
  SCOPED_TRACE(yaml);
  expect_error<c10::ValueError>([&] { plan(parse_recipe(yaml, "r.yaml")); }, words);
}

TEST(Plan, BlocksAreAllLinearLayersButTheHead) {
  const Recipe recipe = load_recipe("w4a16-g128");
  const QuantizationPlan found = plan(recipe);
  EXPECT_EQ(found.layers.size(), 6u * 7u);
  EXPECT_FALSE(found.needs_calibration);
  EXPECT_EQ(found.outcome[6].name, "model.layers.0.mlp.down_proj");
  EXPECT_EQ(found.outcome[6].shape, (std::vector<int64_t>{256, 768}));
}

TEST(Plan, WildcardNeverReachesTheHead) {
  const Recipe recipe = parse_recipe("rules: [{layers: '*', weight: {bits: 4}}]", "r.yaml");
  EXPECT_EQ(plan(recipe).layers.size(), 6u * 7u);
}

TEST(Plan, HeadIsQuantizedWhenItIsNamed) {
  for (const std::string word : {"head", "lm_head"}) {
    const Recipe recipe =
        parse_recipe("rules: [{layers: " + word + ", weight: {bits: 8}}]", "r.yaml");
    EXPECT_EQ(names(plan(recipe)), (std::vector<std::string>{"lm_head"}));
  }
}

TEST(Plan, EmbeddingIsQuantizedWhenItIsMeant) {
  for (const std::string word :
       {"embedding", "model.embed_tokens", "'*embed_tokens*'", "'re:.*embed.*'"}) {
    SCOPED_TRACE(word);
    const Recipe recipe =
        parse_recipe("rules: [{layers: " + word + ", weight: {bits: 8}}]", "r.yaml");
    const QuantizationPlan found = plan(recipe);
    EXPECT_EQ(names(found), (std::vector<std::string>{"model.embed_tokens"}));
    EXPECT_TRUE(found.outcome[0].is_embedding);
    EXPECT_EQ(found.outcome[0].shape, (std::vector<int64_t>{4096, 256}));
    EXPECT_FALSE(found.needs_calibration);
  }
}

TEST(Plan, WildcardThatReachesTheBlocksReachesNoEmbedding) {
  for (const std::string word : {"'*'", "'model.*'", "'re:.*'", "blocks"}) {
    SCOPED_TRACE(word);
    const Recipe recipe =
        parse_recipe("rules: [{layers: " + word + ", weight: {bits: 8}}]", "r.yaml");
    EXPECT_EQ(plan(recipe).layers.size(), 6u * 7u);
  }
}

TEST(Plan, TiedHeadGoesWithItsEmbeddingWhenBothGetTheSame) {
  const Recipe same = parse_recipe(
      "rules: [{weight: {bits: 4}}, {layers: [embedding, head], weight: {bits: 8}}]", "r.yaml");
  const QuantizationPlan found = plan(same);
  ASSERT_EQ(found.layers.size(), 1 + 6u * 7u);
  EXPECT_EQ(found.outcome.size(), found.layers.size());
  EXPECT_EQ(found.layers[0].layer.name, "model.embed_tokens");
  EXPECT_EQ(found.layers[0].tied, (std::vector<std::string>{"lm_head"}));
  ASSERT_EQ(found.layers[0].notes.size(), 1u);
  EXPECT_THAT(found.layers[0].notes[0], HasSubstr("lm_head is tied to it"));
  const Recipe apart = parse_recipe(
      "rules: [{layers: head, weight: {bits: 4}}, {layers: embedding, weight: {bits: 8}}]",
      "r.yaml");
  EXPECT_EQ(names(plan(apart)), (std::vector<std::string>{"model.embed_tokens", "lm_head"}));
}

TEST(Plan, LastRuleThatMatchesWins) {
  const Recipe recipe = parse_recipe(
      "rules:\n"
      "  - weight: {bits: 4}\n"
      "  - {layers: '*.down_proj', weight: {bits: 8}}\n"
      "  - {layers: 're:model[.]layers[.][1-5][.].*', skip: true}\n",
      "r.yaml");
  const QuantizationPlan found = plan(recipe);
  ASSERT_EQ(found.layers.size(), 7u);
  EXPECT_EQ(std::get<IntFormat>(found.layers[0].weight.format).bit_width, 4);
  EXPECT_EQ(std::get<IntFormat>(found.layers[6].weight.format).bit_width, 8);
}

TEST(Plan, RowsThatFillNoSuperBlockGetWhatLlamaCppGivesThem) {
  const testing::TemporaryDirectory directory;
  auto config = testing::random_config("LlamaForCausalLM");
  config["hidden_size"] = 256;
  config["intermediate_size"] = 288;
  testing::write_random_model(config, directory / "m");
  const LanguageModel model = load_language_model(directory / "m", {.resident = false});
  const std::map<std::string, GgufType> types = {
      {"gguf-q2_k", GgufType::IQ4_NL},    {"gguf-q3_k", GgufType::IQ4_NL},
      {"gguf-q4_k-gptq", GgufType::Q5_0}, {"gguf-q5_k", GgufType::Q5_1},
      {"gguf-q6_k", GgufType::Q8_0},      {"gguf-tq1_0", GgufType::Q4_0},
      {"gguf-tq2_0-gptq", GgufType::Q4_0}};
  for (const auto& [preset, type] : types) {
    SCOPED_TRACE(preset);
    const Recipe recipe = load_recipe(preset);
    const QuantizationPlan found = plan_quantization(recipe, model);
    EXPECT_TRUE(gguf_obstacles(model.config, found.outcome, GgufPrecision::kExact).empty());
    for (size_t i = 0; i < found.layers.size(); ++i) {
      const LayerPlan& layer = found.layers[i];
      EXPECT_EQ(layer.weight, found.outcome[i].weight);
      const bool is_short = layer.layer.name.ends_with("down_proj");
      EXPECT_EQ(layer.notes.size(), is_short ? 1u : 0u) << layer.layer.name;
      if (!is_short) continue;
      EXPECT_THAT(layer.notes.front(),
                  AllOf(HasSubstr("rows of 288 weights fill no"), HasSubstr(block_of(type).name)));
    }
  }
}

TEST(Plan, SolverWithAHessianNeedsCalibration) {
  const Recipe recipe = load_recipe("w4a16-g128-gptq");
  EXPECT_TRUE(plan(recipe).needs_calibration);
}

TEST(PlanFault, PatternWithoutAMatchNamesItsPlaceAndTheNearestLayer) {
  expect_plan_fault("rules:\n  - {layers: '*.qproj', weight: {bits: 4}}\n",
                    {"r.yaml:2:14: ", "\"*.qproj\"", "did you mean \"*.q_proj\"?"});
  expect_plan_fault("rules:\n  - {layers: model.layers.0.self_attn.qproj, skip: true}\n",
                    {"r.yaml:2:14: ", "did you mean \"model.layers.0.self_attn.q_proj\"?"});
  expect_plan_fault("rules:\n  - {layers: [blocks, 'model.layers.9.*'], weight: {bits: 4}}\n",
                    {"r.yaml:2:23: ", "model.layers."});
  expect_plan_fault("rules: [{layers: 're:.*[.]qq', skip: true}]\n", {"r.yaml:1:18: ", "q_proj"});
  expect_plan_fault("rules: [{layers: '*embed_token', weight: {bits: 8}}]\n",
                    {"r.yaml:1:18: ", "did you mean \"*.embed_tokens\"?"});
}

TEST(PlanFault, GroupSizeThatDoesNotFitNamesTheLayer) {
  expect_plan_fault(
      "rules:\n  - {weight: {bits: 4, granularity: group, group_size: 100}}\n",
      {"r.yaml:2:5", "group_size 100", "256 inputs", "model.layers.0.self_attn.q_proj", "pad"});
}

TEST(PlanFault, WhatAnEmbeddingCannotHaveIsRefused) {
  const auto with = [](const std::string& more) {
    return "rules:\n  - {layers: [blocks, embedding], weight: {bits: 4}, " + more + "}\n";
  };
  expect_plan_fault(with("solver: gptq"),
                    {"r.yaml:2:15: solver: model.embed_tokens is an embedding",
                     "such as nearest, got gptq", "a rule of its own"});
  expect_plan_fault(with("solver: autoround"), {"such as nearest, got autoround"});
  expect_plan_fault(with("input: {bits: 8, granularity: token}"),
                    {"r.yaml:2:15: input: model.embed_tokens is an embedding", "ids"});
  expect_plan_fault(with("bias_correction: layer"), {"r.yaml:2:15: bias_correction: ", "no bias"});
  expect_plan_fault(
      "rules: [{layers: embedding, weight: {bits: 4, granularity: group, group_size: 100}}]\n",
      {"group_size 100", "256 numbers of a row of model.embed_tokens", "such as 64"});
}

TEST(PlanFault, HeadsAndBlocksThatDoNotFitNameTheLayer) {
  expect_plan_fault("rules:\n  - {weight: {bits: 4, granularity: head, axis: 0, heads: 3}}\n",
                    {"r.yaml:2:5", "model.layers.0.self_attn.q_proj", "multiple of heads 3"});
  expect_plan_fault(
      "rules:\n  - {weight: {bits: 4, granularity: block, block_rows: 7, block_columns: 8}}\n",
      {"r.yaml:2:5", "model.layers.0.self_attn.q_proj", "multiple of rows 7"});
}

TEST(PlanFault, RecipeThatSkipsEverythingIsRefused) {
  expect_plan_fault("rules: [{skip: true}]\n", {"nothing to quantize"});
}

TEST(Sizes, BitsAWeightCountCodesScalesAndZeroPoints) {
  NativeLayer layer{.name = "a", .weight_name = "a.weight", .shape = {64, 256}};
  const auto of = [&](const std::string& preset) {
    layer.weight = *load_recipe(preset).rules[0].weight;
    return bits_per_weight(layer);
  };
  EXPECT_DOUBLE_EQ(of("w4a16"), 4 + 32.0 / 256);
  EXPECT_DOUBLE_EQ(of("w4a16-g128"), 4 + 32.0 / 128);
  EXPECT_DOUBLE_EQ(of("gguf-q4_0"), 4.5);
  EXPECT_DOUBLE_EQ(of("gguf-q4_1"), 5);
  EXPECT_DOUBLE_EQ(of("gguf-q8_0"), 8.5);
  EXPECT_DOUBLE_EQ(of("gguf-q2_k"), 2.625);
  EXPECT_DOUBLE_EQ(of("gguf-q4_k"), 4.5);
  EXPECT_DOUBLE_EQ(of("gguf-q6_k"), 6.5625);
  EXPECT_DOUBLE_EQ(of("gguf-mxfp4"), 4.25);
  // Which of four tables a group has, and the scales of each plane.
  const auto of_preset = [&](const std::string& name) {
    layer.weight = quant_spec_preset(name);
    return bits_per_weight(layer);
  };
  EXPECT_DOUBLE_EQ(of_preset("bitmod3-g128"), 3 + (32.0 + 2) / 128);
  EXPECT_DOUBLE_EQ(of_preset("bitmod4-g128"), 4 + (32.0 + 2) / 128);
  EXPECT_DOUBLE_EQ(of_preset("two-binary-g128"), 2 + 2 * 32.0 / 128);
  EXPECT_DOUBLE_EQ(of_preset("complex-signs-g128"), 1 + 2 * 32.0 / 128);
  EXPECT_DOUBLE_EQ(of_preset("two-ternary-g128"), 4 + 2 * 32.0 / 128);
}

TEST(Sizes, FloatModelHasTheBitsOfItsTensors) {
  const ModelSize size = measure_size(testing::repository() / "assets/tiny-lm");
  EXPECT_EQ(size.parameters, 5770496);
  EXPECT_DOUBLE_EQ(size.bits_per_parameter, 16);
  EXPECT_EQ(size.quantized_parameters, 0);
}

}  // namespace
}  // namespace laconic
