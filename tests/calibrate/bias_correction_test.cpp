#include "laconic/calibrate/bias_correction.h"

#include <ATen/ATen.h>

#include "laconic/base/interrupt.h"
#include "laconic/graph/run.h"
#include "tests/testing/random_model.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::random_config;
using laconic::testing::TemporaryDirectory;
using laconic::testing::write_random_model;
using ::testing::Contains;
using ::testing::HasSubstr;

/// Three blocks whose linear layers all have a bias, or none of them.
LanguageModel small_llama(const std::filesystem::path& directory, bool has_biases) {
  auto config = random_config("LlamaForCausalLM");
  config["attention_bias"] = config["mlp_bias"] = has_biases;
  write_random_model(config, directory);
  return load_language_model(directory, {.resident = false});
}

at::Tensor windows_of(const LanguageModel& model) {
  at::manual_seed(12);
  return at::randint(0, model.vocabulary_size, {6, 16}, at::kLong);
}

std::vector<LayerPlan> plans_of(const LanguageModel& model, BiasCorrection correction) {
  QuantSpec weight, input;
  weight.format = IntFormat{.bit_width = 3};
  weight.granularity = PerChannel{0};
  input.format = IntFormat{.bit_width = 6};
  input.granularity = PerToken{};
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : model.layers) {
    if (layer.name == "lm_head") continue;
    plans.push_back({.layer = layer,
                     .weight = weight,
                     .input = input,
                     .needs_hessian = true,
                     .needs_mismatch = true,
                     .bias = correction});
  }
  return plans;
}

EngineReport quantized(const LanguageModel& model, BiasCorrection correction,
                       const std::filesystem::path& out, int64_t stop_after_blocks = -1) {
  NativeWriter writer(out, engine_shard_count(model));
  const auto report = run_engine(
      model, plans_of(model, correction), windows_of(model),
      [](const LayerPlan& plan, const at::Tensor& weight, const LayerStatistics&) {
        const auto parameters = find_parameters(plan.weight, weight);
        return SolvedLayer{quantize_codes(plan.weight, weight, parameters), parameters, {}};
      },
      writer, {.stop_after_blocks = stop_after_blocks});
  auto layers = nlohmann::json::array();
  for (const LayerPlan& plan : plans_of(model, correction)) {
    auto shape = model.parameters->describe(plan.layer.weight_name).shape;
    layers.push_back(to_json(NativeLayer{plan.layer.name, plan.layer.weight_name, false,
                                         plan.weight, plan.input, shape}));
  }
  writer.finish({{"architecture", model.architecture}, {"layers", layers}},
                {model.directory / "config.json"});
  return report;
}

/// Every value of a network that a layer reads or gives on the calibration windows.
graph::Environment values_of(const LanguageModel& model) {
  const at::NoGradGuard no_gradient;
  std::vector<graph::Value> keep;
  for (const graph::LinearLayer& layer : model.layers) {
    keep.push_back(std::get<graph::Value>(model.graph.at(layer.node).arguments.at(0).data));
    keep.push_back({layer.node, 0});
  }
  graph::Environment environment = {{{model.graph.input(), 0}, windows_of(model)}};
  graph::Runner(model.graph).run(0, model.graph.size(), *model.parameters, environment, keep);
  return environment;
}

at::Tensor mean_rows(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}).mean(0); }

/// Largest mean error of an output of a layer of the blocks, relative to the outputs' size.
double largest_mean_error(const LanguageModel& model, const LanguageModel& solved,
                          BiasCorrection correction) {
  const auto values = values_of(model), others = values_of(solved);
  double largest = 0;
  for (size_t i = 0; i < model.layers.size(); ++i) {
    const graph::LinearLayer &layer = model.layers[i], &other = solved.layers[i];
    EXPECT_EQ(layer.name, other.name);
    if (layer.name == "lm_head") continue;
    at::Tensor wanted = values.at({layer.node, 0});
    if (correction == BiasCorrection::kLayer) {
      const auto input = std::get<graph::Value>(solved.graph.at(other.node).arguments.at(0).data);
      wanted = at::linear(others.at(input), model.parameters->get(layer.weight_name),
                          model.parameters->get(layer.name + ".bias"));
    }
    const auto error = mean_rows(others.at({other.node, 0})) - mean_rows(wanted);
    largest = std::max(largest, (error.abs().max() / wanted.abs().mean()).item<double>());
  }
  return largest;
}

TEST(BiasCorrection, TakesTheMeanErrorOfEveryLayersOutput) {
  const TemporaryDirectory directory;
  const LanguageModel model = small_llama(directory / "model", true);
  quantized(model, BiasCorrection::kNone, directory / "none");
  const LanguageModel plain = load_language_model(directory / "none");
  for (const auto correction : {BiasCorrection::kLayer, BiasCorrection::kFloat}) {
    const std::string name = bias_correction_words().at(static_cast<size_t>(correction));
    SCOPED_TRACE(name);
    const EngineReport report = quantized(model, correction, directory / name);
    const LanguageModel solved = load_language_model(directory / name);
    EXPECT_GT(largest_mean_error(model, plain, correction), 0.05);
    // float32 sums in another order, through the layers before.
    EXPECT_LT(largest_mean_error(model, solved, correction), 1e-5);
    for (const LayerReport& layer : report.layers) EXPECT_TRUE(layer.notes.empty()) << layer.name;
  }
}

TEST(BiasCorrection, TellsOfLayersThatHaveNoBias) {
  const TemporaryDirectory directory;
  const LanguageModel model = small_llama(directory / "model", false);
  for (const LayerReport& layer :
       quantized(model, BiasCorrection::kLayer, directory / "out").layers)
    EXPECT_THAT(layer.notes, Contains(HasSubstr("has no bias"))) << layer.name;
}

TEST(BiasCorrection, ResumedRunGivesTheSameBytes) {
  const TemporaryDirectory directory;
  const LanguageModel model = small_llama(directory / "model", true);
  quantized(model, BiasCorrection::kFloat, directory / "whole");
  EXPECT_THROW(quantized(model, BiasCorrection::kFloat, directory / "killed", 2), Interrupted);
  quantized(model, BiasCorrection::kFloat, directory / "killed");
  const auto whole = NativeDirectory::open(directory / "whole");
  const auto killed = NativeDirectory::open(directory / "killed");
  ASSERT_EQ(whole->tensors().names(), killed->tensors().names());
  for (const std::string& name : whole->tensors().names())
    EXPECT_TRUE(at::equal(whole->tensors().tensor(name), killed->tensors().tensor(name))) << name;
}

}  // namespace
}  // namespace laconic
