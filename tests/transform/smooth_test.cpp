#include "laconic/transform/smooth/smooth.h"

#include "laconic/transform/scalings.h"
#include "small_models.h"

namespace laconic {
namespace {

using testing::difference;
using testing::every_config;
using testing::expect_error;
using testing::kRounding;
using testing::logits_of;
using testing::small_configs;
using testing::small_model;
using testing::small_windows;

TransformReport smoothed(LanguageModel& model, const nlohmann::json& options) {
  return transform_model(model, find_transform("smooth"), options, {small_windows(), {}, {}});
}

TEST(Smooth, EveryArchitectureComputesTheSame) {
  for (const auto& [name, config] : every_config()) {
    for (const bool online : {false, true}) {
      SCOPED_TRACE(name + (online ? " online" : ""));
      const testing::TemporaryDirectory directory;
      auto model = small_model(directory.path(), config);
      const auto before = logits_of(model);
      const auto report = smoothed(model, {{"alpha", 0.6}, {"online", online}});
      EXPECT_LT(difference(logits_of(model), before), kRounding);
      // A GELU alone lets no factor through to the rows before it.
      const bool has_rest = name.starts_with("GPT");
      EXPECT_EQ(model.graph_changes.size(), online && has_rest ? 1u : 0u);
      EXPECT_EQ(report.fallbacks.size(), !online && has_rest ? 1u : 0u);
    }
  }
}

TEST(Smooth, HalfWayInputsAndColumnsHaveEqualMaxima) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  smoothed(model, {{"alpha", 0.5}});
  transform::FloatNetwork network{model.graph, model.parameters};
  network.context.windows = small_windows();
  const auto scalings = transform::find_scalings(network);
  EXPECT_EQ(scalings.size(), 12u);  // two norms, values and a product in each of three blocks
  for (const auto& scaling : scalings) {
    at::Tensor columns;
    for (const auto& layer : scaling.layers) {
      const auto own = model.parameters->get(layer.weight_name).abs().amax(0);
      columns = columns.defined() ? at::maximum(columns, own) : own;
    }
    transform::visit_inputs(
        network, {scaling.input}, transform::Products::kNone,
        [&](size_t, const transform::InputStatistics& seen) {
          EXPECT_LT(difference(scaling.largest(seen.maximum), scaling.largest(columns)), 1e-4)
              << scaling.input.layer;
        });
  }
}

TEST(Smooth, FeatureThatIsZeroKeepsItsScale) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["MistralForCausalLM"]);
  const std::string gain = "model.layers.0.input_layernorm.weight";
  auto changed = model.parameters->get(gain).clone();
  changed[7] = 0;
  const auto below = model.parameters;
  model.parameters = std::make_shared<graph::OverlaidParameters>(
      *below, std::map<std::string, at::Tensor>{{gain, changed}});
  const std::string weight = "model.layers.0.self_attn.q_proj.weight";
  const auto column = model.parameters->get(weight).select(1, 7).clone();
  smoothed(model, nlohmann::json::object());
  EXPECT_TRUE(model.parameters->get(weight).select(1, 7).equal(column));
  EXPECT_FALSE(model.parameters->get(weight).equal(below->get(weight)));
}

TEST(Smooth, NeedsWindowsAndChecksItsOptions) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  expect_error<c10::ValueError>(
      [&] { transform_model(model, find_transform("smooth"), nlohmann::json::object()); },
      {"[transform]", "calibration windows", "--calibration"});
  expect_error<c10::ValueError>(
      [] {
        transform::check_smooth({{"alpha", 2}});
      },
      {"alpha", "from 0 to 1", "2"});
}

}  // namespace
}  // namespace laconic
