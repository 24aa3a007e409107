#include "laconic/transform/equalize/equalize.h"

#include "laconic/transform/scalings.h"
#include "laconic/transform/split/split.h"
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

TEST(Equalize, EveryArchitectureComputesTheSame) {
  for (const auto& [name, config] : every_config()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    const auto report = testing::transformed_alike(model, "equalize");
    EXPECT_THAT(report.fallbacks, ::testing::IsEmpty());
    EXPECT_THAT(model.graph_changes, ::testing::IsEmpty());
    EXPECT_FALSE(model.changed.empty());
  }
}

TEST(Equalize, RowsAndColumnsAreEquallyWide) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  transformed(model, "equalize", {{"threshold", 1e-4}});
  size_t checked = 0;
  for (const auto& region : transform::find_scalings({model.graph, model.parameters})) {
    if (region.sources.front().part.dim != 0 || region.layers.size() != 1) continue;
    const auto& source = region.sources.front();
    const auto rows = model.parameters->get(source.part.parameter).abs().amax(1);
    const auto columns =
        region.largest(model.parameters->get(region.layers.front().weight_name).abs().amax(0));
    EXPECT_LT(difference(rows, columns), 1e-4) << source.part.parameter;
    ++checked;
  }
  EXPECT_EQ(checked, 6u);  // values and products of three blocks
}

TEST(Split, EveryArchitectureComputesTheSameWithMoreFeatures) {
  for (const auto& [name, config] : every_config()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    const auto before = logits_of(model);
    transformed(model, "split", {{"ratio", 0.1}, {"multiple", 8}});
    EXPECT_LT(difference(logits_of(model), before), kRounding);
    const bool is_fused = name == "Phi3ForCausalLM";  // one layer writes both factors
    EXPECT_EQ(model.graph_changes.size(), is_fused ? 0u : 1u);
  }
}

TEST(Split, LargestColumnsAreHalvedAndShapesAreTold) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  const std::string down = "model.layers.1.mlp.down_proj.weight";
  const auto widest = model.parameters->get(down).abs().amax(0).argmax().item<int64_t>();
  const auto column = model.parameters->get(down).select(1, widest).clone();
  transformed(model, "split", {{"ratio", 0.01}});
  const auto after = model.parameters->get(down);
  EXPECT_EQ(after.size(1), 81);
  EXPECT_EQ(model.parameters->describe(down).shape, after.sizes().vec());
  EXPECT_TRUE(after.select(1, widest).equal(column / 2));
  EXPECT_TRUE(after.select(1, 80).equal(column / 2));
}

}  // namespace
}  // namespace laconic
