#include "laconic/transform/expand/expand.h"

#include "laconic/kernel/hadamard.h"
#include "small_models.h"

namespace laconic {
namespace {

using testing::difference;
using testing::every_config;
using testing::kRounding;
using testing::logits_of;
using testing::small_configs;
using testing::small_model;
using testing::transformed;

/// The network that config.json describes, with the parameters of the model.
at::Tensor logits_by_config(const LanguageModel& model) {
  const model::Config config(model.config, "config.json");
  return logits_of(model::Network(config, model::find_architecture(config)).graph(),
                   *model.parameters);
}

int64_t inputs_of(const LanguageModel& model, const std::string& ending) {
  for (const auto& layer : model.layers) {
    if (!layer.name.ends_with(ending)) continue;
    return model.parameters->describe(layer.weight_name).shape.at(layer.transposed ? 0 : 1);
  }
  return 0;
}

TEST(Expand, EveryArchitectureComputesTheSame) {
  for (const auto& [name, config] : every_config()) {
    for (const nlohmann::json& options :
         {nlohmann::json{{"steps", 1}}, nlohmann::json{{"steps", 3}}, {{"multiple", 64}}}) {
      SCOPED_TRACE(name + " " + options.dump());
      const testing::TemporaryDirectory directory;
      auto model = small_model(directory.path(), config);
      const auto before = logits_of(model);
      const auto report = transformed(model, "expand", options);
      EXPECT_LT(difference(logits_of(model), before), kRounding);
      // Gate and up projection in one, or experts: their widths have a word for themselves or none.
      if (!model.graph_changes.empty() || report.done.empty()) continue;
      EXPECT_LT(difference(logits_by_config(model), before), kRounding);
    }
  }
}

TEST(Expand, WidthIsTheNextHadamardOrderOrMultipleAndInTheConfiguration) {
  const std::map<std::string, std::pair<std::string, std::string>> words = {
      {"LlamaForCausalLM", {"intermediate_size", "down_proj"}},
      {"GPT2LMHeadModel", {"n_inner", "c_proj"}},
      {"OPTForCausalLM", {"ffn_dim", "fc2"}}};
  for (const auto& [name, word] : words) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    const auto& [key, layer] = word;
    auto model = small_model(directory.path(), small_configs()[name]);
    const int64_t width = name[0] == 'L' ? 80 : name[0] == 'G' ? 192 : 96;
    transformed(model, "expand");
    const int64_t wider = kernel::larger_hadamard_orders(width, 1).front();
    EXPECT_EQ(model.config.at(key), wider);
    EXPECT_EQ(inputs_of(model, "mlp." + layer) + inputs_of(model, "fc2"), wider);
    transformed(model, "expand", {{"multiple", 256}});
    EXPECT_EQ(model.config.at(key), 256);
    EXPECT_TRUE(model.graph_changes.empty());
  }
}

TEST(Expand, GivesAnOnlineRotationMoreFeaturesToSpreadOver) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  const auto before = logits_of(model);
  transformed(model, "fold_norms");
  transformed(model, "expand", {{"multiple", 128}});
  transformed(model, "rotate", {{"online", true}});
  EXPECT_LT(difference(logits_of(model), before), 10 * kRounding);
  const auto weight = model.parameters->get("model.layers.0.mlp.down_proj.weight");
  ASSERT_EQ(weight.size(1), 128);
  // The columns behind the first 80 were 0, and carry their share now.
  EXPECT_GT(weight.slice(1, 80).square().mean().item<double>(),
            0.5 * weight.square().mean().item<double>());
}

TEST(Biases, EveryArchitectureComputesTheSameAndLlamaStaysLlama) {
  for (const auto& [name, config] : every_config()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    const auto before = logits_of(model);
    const auto report = transformed(model, "biases");
    EXPECT_TRUE(at::equal(logits_of(model), before));
    EXPECT_EQ(report.done.size(), 1u);
    const transform::ParameterReaders readers(model.graph);
    for (const auto& layer : model.layers) {
      const bool is_head = layer.node >= model.blocks.back().end;
      EXPECT_NE(readers.bias_of(layer).name.empty(), !is_head) << layer.name;
    }
  }
}

TEST(Biases, OfLlamaAreInTheConfiguration) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  const auto before = logits_of(model);
  transformed(model, "biases");
  EXPECT_TRUE(model.graph_changes.empty());
  EXPECT_EQ(model.config.at("attention_bias"), true);
  EXPECT_EQ(model.config.at("mlp_bias"), true);
  EXPECT_TRUE(at::equal(logits_by_config(model), before));
}

}  // namespace
}  // namespace laconic
