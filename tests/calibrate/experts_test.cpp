#include <ATen/ATen.h>

#include "laconic/calibrate/engine.h"
#include "laconic/graph/run.h"
#include "laconic/solve/solve.h"
#include "tests/testing/random_model.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::random_config;
using laconic::testing::TemporaryDirectory;
using laconic::testing::write_random_model;
using ::testing::HasSubstr;

constexpr int64_t kExperts = 4;

/// Every token is routed to two of four experts; hardly any to the last one.
LanguageModel mixture(const std::filesystem::path& directory) {
  auto config = random_config("MixtralForCausalLM");
  config["num_local_experts"] = kExperts;
  config["num_experts_per_tok"] = 2;
  write_random_model(config, directory);
  return load_language_model(directory);
}

std::map<std::string, LayerStatistics> statistics_of(const LanguageModel& model,
                                                     const at::Tensor& windows,
                                                     const std::filesystem::path& out,
                                                     EngineReport* report) {
  QuantSpec spec;
  spec.granularity = PerChannel{.axis = 0};
  std::vector<LayerPlan> plans;
  for (const auto& layer : model.layers)
    if (layer.name != "lm_head") plans.push_back({layer, spec, std::nullopt, true});
  std::map<std::string, LayerStatistics> found;
  NativeWriter writer(out, engine_shard_count(model));
  *report = run_engine(
      model, plans, windows,
      [&](const LayerPlan& plan, const at::Tensor& weight, const LayerStatistics& statistics) {
        found[plan.layer.name] = statistics;
        const auto parameters = find_parameters(plan.weight, weight);
        return SolvedLayer{quantize_codes(plan.weight, weight, parameters), parameters, {}};
      },
      writer, {.quantized_inputs = false});
  return found;
}

TEST(Experts, HaveStatisticsOfTheirOwnTokensAlone) {
  const TemporaryDirectory directory;
  const LanguageModel model = mixture(directory / "m");
  const auto windows = at::randint(0, model.vocabulary_size, {9, 40}, at::kLong);
  EngineReport report;
  const auto found = statistics_of(model, windows, directory / "out", &report);
  const std::string block = "model.layers.0.block_sparse_moe.experts.";
  // The routed rows as the network computes them.
  const graph::Runner runner(model.graph);
  int64_t rows = 0;
  for (const auto& layer : model.layers) {
    if (!layer.name.starts_with(block) || !layer.name.ends_with(".w2")) continue;
    graph::Environment environment{{{runner.graph().input(), 0}, windows}};
    runner.run(0, layer.node, *model.parameters, environment, {layer.input});
    const at::Tensor x = environment.at(layer.input);
    const LayerStatistics& statistics = found.at(layer.name);
    EXPECT_EQ(statistics.rows, x.size(0)) << layer.name;
    rows += x.size(0);
    if (x.size(0) < kFewestExpertTokens) continue;
    const auto hessian = x.t().mm(x) / static_cast<double>(x.size(0));
    // Sums of float32 products in another order.
    EXPECT_TRUE(at::allclose(statistics.hessian, hessian, 1e-4, 1e-4)) << layer.name;
  }
  EXPECT_EQ(rows, 2 * windows.numel()) << "two experts a token";
}

TEST(Experts, WithFewTokensAreRoundedWithoutStatisticsAndReported) {
  const TemporaryDirectory directory;
  const LanguageModel model = mixture(directory / "m");
  const auto windows = at::randint(0, model.vocabulary_size, {1, 40}, at::kLong);
  EngineReport report;
  const auto found = statistics_of(model, windows, directory / "out", &report);
  int64_t rare = 0;
  for (const LayerReport& layer : report.layers) {
    const LayerStatistics& statistics = found.at(layer.name);
    const bool is_rare = statistics.rows < windows.numel();
    rare += is_rare ? 1 : 0;
    ASSERT_EQ(layer.notes.size(), is_rare ? 1u : 0u) << layer.name;
    if (!is_rare) continue;
    EXPECT_THAT(layer.notes[0], HasSubstr("of 40 calibration tokens, fewer than 128"));
    EXPECT_TRUE(at::equal(statistics.hessian, at::eye(statistics.hessian.size(0)))) << layer.name;
  }
  EXPECT_EQ(rare, 3 * kExperts * 3) << "40 tokens make no expert's statistics";
}

}  // namespace
}  // namespace laconic
