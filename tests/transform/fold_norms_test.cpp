#include "laconic/transform/fold_norms/fold_norms.h"

#include "small_models.h"

namespace laconic {
namespace {

using testing::difference;
using testing::expect_error;
using testing::kRounding;
using testing::logits_of;
using testing::small_configs;
using testing::small_model;
using testing::transformed;

int count(const graph::Graph& graph, const std::string& target) {
  return static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                        [&](const auto& node) { return node.target == target; }));
}

TEST(FoldNorms, EveryArchitectureComputesTheSame) {
  for (const auto& [name, config] : small_configs()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    const auto report = testing::transformed_alike(model, "fold_norms");
    EXPECT_FALSE(report.done.empty());
    EXPECT_EQ(count(model.graph, "aten::layer_norm"), 0);
    // The norms of heads are read by rope: they alone keep their gains.
    EXPECT_EQ(report.fallbacks.size(), name == "Qwen3ForCausalLM" ? 6u : 0u);
  }
}

TEST(FoldNorms, NewerArchitecturesComputeTheSame) {
  for (const auto& [name, config] : testing::newer_configs()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    const auto report = testing::transformed_alike(model, "fold_norms");
    // Gains of Gemma are computed; those of heads are read by rope.
    if (name.starts_with("Gemma")) continue;
    EXPECT_THAT(report.done, ::testing::Contains(::testing::HasSubstr("gains of 7 norms")));
    EXPECT_EQ(report.fallbacks.size(), name == "Qwen3MoeForCausalLM" ? 6u : 0u);
  }
}

TEST(FoldNorms, GainsAreOnesAndTheNetworkOfAnRmsNormModelStays) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["MistralForCausalLM"]);
  const graph::NodeId nodes = model.graph.size();
  transformed(model, "fold_norms");
  EXPECT_EQ(model.graph.size(), nodes);
  EXPECT_TRUE(model.graph_changes.empty());
  const auto gain = model.parameters->get("model.layers.1.input_layernorm.weight");
  EXPECT_TRUE(gain.equal(at::ones({48})));
  EXPECT_TRUE(model.changed.contains("model.layers.1.self_attn.q_proj.weight"));
  EXPECT_FALSE(model.changed.contains("model.embed_tokens.weight"));
}

TEST(FoldNorms, TiedHeadGetsAWeightOfItsOwn) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  const auto embedding = model.parameters->get("model.embed_tokens.weight");
  const auto gain = model.parameters->get("model.norm.weight");
  transformed(model, "fold_norms");
  EXPECT_EQ(model.config["tie_word_embeddings"], false);
  EXPECT_EQ(model.layers.back().weight_name, "lm_head.weight");
  EXPECT_TRUE(model.parameters->get("lm_head.weight").equal(embedding * gain));
  EXPECT_TRUE(model.parameters->get("model.embed_tokens.weight").equal(embedding));
}

TEST(FoldNorms, WritersOfALayerNormAreCentred) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["GPT2LMHeadModel"]);
  transformed(model, "fold_norms");
  const auto embedding = model.parameters->get("transformer.wte.weight");
  EXPECT_LT(embedding.mean(1).abs().max().item<double>(), 1e-6);
  EXPECT_EQ(model.graph_changes, std::vector<std::string>{"fold_norms (layer norms)"});
  EXPECT_TRUE(model.changed.contains("lm_head.bias"));
}

TEST(FoldNorms, LayerNormsAfterTheSumStayAndAreListed) {
  const testing::TemporaryDirectory directory;
  auto config = small_configs()["OPTForCausalLM"];
  config["do_layer_norm_before"] = false;
  auto model = small_model(directory.path(), config);
  const auto before = logits_of(model);
  const auto report = transformed(model, "fold_norms");
  EXPECT_LT(difference(logits_of(model), before), kRounding);
  EXPECT_GT(count(model.graph, "aten::layer_norm"), 0);
  ASSERT_FALSE(report.fallbacks.empty());
  EXPECT_THAT(report.fallbacks.front(), ::testing::HasSubstr("keeps its gain"));
}

TEST(FoldNorms, UnknownOptionsAndNamesAreRefused) {
  expect_error<c10::ValueError>(
      [] {
        transform::check_fold_norms({{"gains", true}});
      },
      {"[transform fold_norms]", "gains", "it has none"});
  expect_error<c10::ValueError>([] { find_transform("fold_norm"); },
                                {"unknown transform", "fold_norm", "fold_norms"});
}

}  // namespace
}  // namespace laconic
