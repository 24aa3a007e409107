#include "laconic/transform/permute/permute.h"

#include "laconic/transform/elementwise.h"
#include "laconic/transform/statistics.h"
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
using testing::transformed;

TransformReport permuted(LanguageModel& model, const nlohmann::json& options) {
  return transform_model(model, find_transform("permute"), options, {small_windows(), {}, {}});
}

TEST(Permute, EveryArchitectureComputesTheSame) {
  for (const auto& [name, config] : every_config()) {
    for (const char* order : {"massdiff", "zigzag", "absmax"}) {
      SCOPED_TRACE(name + " " + order);
      const testing::TemporaryDirectory directory;
      auto model = small_model(directory.path(), config);
      const auto before = logits_of(model);
      transformed(model, "fold_norms");
      const size_t changes = model.graph_changes.size();
      permuted(model, {{"order", order}, {"block_size", 8}});
      EXPECT_LT(difference(logits_of(model), before), kRounding);
      EXPECT_EQ(model.graph_changes.size(), changes);
      if (!small_configs().contains(name)) continue;
      transformed(model, "rotate", {{"online", true}, {"block_size", 8}});
      EXPECT_LT(difference(logits_of(model), before), kRounding);
    }
  }
}

/// Largest mean magnitude of a block of eight features over the mean of all blocks, of the inputs
/// of down-projections.
double block_imbalance(const LanguageModel& model) {
  transform::FloatNetwork network{model.graph, model.parameters};
  network.context.windows = small_windows();
  double largest = 0;
  for (const auto& region : transform::find_elementwise_regions(network))
    transform::visit_inputs(
        network, {{region.reader.node, region.reader.input, region.reader.name}},
        transform::Products::kNone, [&](size_t, const transform::InputStatistics& seen) {
          const auto mass = seen.mean.view({-1, 8}).sum(1);
          largest = std::max(largest, (mass.max() / mass.mean()).item<double>());
        });
  return largest;
}

TEST(Permute, BlocksOfDownProjectionsHaveTheSameMass) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  const double before = block_imbalance(model);
  transformed(model, "fold_norms");
  const auto report = permuted(model, {{"block_size", 8}});
  EXPECT_THAT(report.fallbacks, ::testing::IsEmpty());
  EXPECT_GT(before, 1.3);
  EXPECT_LT(block_imbalance(model), 1.1);
}

TEST(Permute, KeepsAnOrderThatBlocksDoNotDivideOrANormStandsIn) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  const auto before = logits_of(model);
  const auto report = permuted(model, {{"block_size", 32}});
  EXPECT_EQ(report.fallbacks.size(), 4u);  // the stream, and three inputs of 80 features
  EXPECT_TRUE(at::equal(logits_of(model), before));
}

TEST(Permute, ChecksItsOptions) {
  expect_error<c10::ValueError>(
      [] {
        transform::check_permute({{"order", "massdif"}});
      },
      {"permute", "massdif", "massdiff"});
  expect_error<c10::ValueError>(
      [] {
        transform::check_permute({{"block_size", 0}});
      },
      {"block_size"});
}

}  // namespace
}  // namespace laconic
