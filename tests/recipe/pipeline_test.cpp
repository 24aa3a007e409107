#include "laconic/recipe/pipeline.h"

#include <ATen/ATen.h>

#include <cmath>

#include "laconic/base/atomic_file.h"
#include "laconic/file/json/json.h"
#include "laconic/graph/run.h"
#include "laconic/load/language_model.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::repository;
using testing::TemporaryDirectory;

TEST(Pipeline, ExportsLieBesideTheDirectory) {
  const auto place = [](const char* out, const char* format) {
    return export_path(out, find_exporter(format)).string();
  };
  EXPECT_EQ(place("a/q", "gguf"), "a/q.gguf");
  EXPECT_EQ(place("a/q/", "gguf-f16"), "a/q-f16.gguf");
  EXPECT_EQ(place("a/q", "compressed-tensors"), "a/q-compressed-tensors");
}

TEST(Pipeline, OwnSolverIsFoundByItsNameBeforeOurs) {
  static int calls = 0;
  const auto solve = [](const LayerProblem& problem, const nlohmann::json& options) {
    ++calls;
    return find_solver("nearest").solve(problem, options);
  };
  const Solver own[] = {{"mine", "counts", "", false, solve, [](const nlohmann::json&) {},
                         [] { return nlohmann::json::object(); }}};
  const Parts parts{.solvers = own};
  const Recipe recipe = parse_recipe(
      "rules: [{layers: '*.o_proj', weight: {bits: 4}, solver: mine}]", "r.yaml", parts);
  const TemporaryDirectory directory;
  run_quantize({.model = repository() / "assets/tiny-lm", .recipe = recipe, .out = directory / "q"},
               parts);
  EXPECT_EQ(calls, 6);
}

TEST(Pipeline, FollowingTheFloatNetworkReportsWhatLayersLostAndChangesNoCode) {
  const TemporaryDirectory directory;
  const auto quantize = [&](const char* name, const char* follow, const char* solver) {
    const auto recipe =
        parse_recipe("calibration: {windows: 4, length: 64, follow_float: " + std::string(follow) +
                         "}\nrules: [{weight: {bits: 3, granularity: channel, statistic: mse}, " +
                         "solver: " + solver + "}]",
                     "r.yaml");
    return run_quantize({.model = repository() / "assets/tiny-lm",
                         .recipe = recipe,
                         .calibration = repository() / "assets/text/calibration.txt",
                         .out = directory / name})
        .report;
  };
  const auto mean = [](const EngineReport& report) {
    double sum = 0;
    for (const LayerReport& layer : report.layers) sum += layer.followed_error;
    return sum / static_cast<double>(report.layers.size());
  };
  const auto followed = quantize("followed", "true", "nearest");
  EXPECT_TRUE(std::isnan(mean(quantize("plain", "false", "nearest"))));
  EXPECT_EQ(read_text_file(directory / "followed/model-00001-of-00007.safetensors"),
            read_text_file(directory / "plain/model-00001-of-00007.safetensors"));
  EXPECT_GT(mean(followed), mean(quantize("gptq", "true", "gptq")));
}

TEST(Pipeline, BlockSolverWantsOneSolverForTheLayersOfABlock) {
  const Recipe recipe = parse_recipe(
      "rules:\n"
      "  - {layers: '*.o_proj', weight: {bits: 4}, solver: autoround, solver_options: {steps: 3}}\n"
      "  - {layers: '*.q_proj', weight: {bits: 4}, solver: autoround, solver_options: {steps: "
      "4}}\n",
      "r.yaml");
  const TemporaryDirectory directory;
  testing::expect_error<c10::ValueError>(
      [&] {
        check_quantize(
            {.model = repository() / "assets/tiny-lm", .recipe = recipe, .out = directory / "q"});
      },
      {"r.yaml:", "o_proj", "q_proj", "are in one block", "autoround", "steps"});
}

// Weights of 8 bits on a rotated network.
Recipe rotated(const std::string& options) {
  return parse_recipe("transforms: [{name: fold_norms}, {name: rotate" + options +
                          "}]\nrules: [{weight: {bits: 8, granularity: channel}}]",
                      "r.yaml");
}

double logits_error(const std::filesystem::path& directory) {
  const c10::InferenceMode no_gradient;
  const auto ids = at::arange(3, 67).reshape({2, 32});
  const auto logits = [&](const std::filesystem::path& model) {
    const auto loaded = load_language_model(model);
    return graph::Runner(loaded.graph)(ids, *loaded.parameters);
  };
  const auto expected = logits(repository() / "assets/tiny-lm");
  return ((logits(directory) - expected).norm() / expected.norm()).item<double>();
}

TEST(Pipeline, MergedRotationGivesADirectoryOfTheArchitectureThatExports) {
  const TemporaryDirectory directory;
  const auto outcome = run_quantize({.model = repository() / "assets/tiny-lm",
                                     .recipe = rotated(""),
                                     .out = directory / "q",
                                     .exports = {"gguf-f32"}});
  EXPECT_EQ(outcome.transforms.size(), 2u);
  EXPECT_THAT(outcome.notes.back(), ::testing::HasSubstr("rotate: "));
  EXPECT_LT(logits_error(directory / "q"), 0.02);
  EXPECT_FALSE(std::filesystem::exists(directory / "q/graph.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(directory / "q-f32.gguf"));
  EXPECT_EQ(read_json_file(directory / "q/config.json")["tie_word_embeddings"], false);
  const auto manifest = read_json_file(directory / "q/laconic.json");
  EXPECT_EQ(manifest["report"]["transforms"].size(), 2u);
}

TEST(Pipeline, TransformThatLooksAtTextNeedsOneAndUsesIt) {
  const TemporaryDirectory directory;
  QuantizeJob job{.model = repository() / "assets/tiny-lm",
                  .recipe = load_recipe("w8a8-smoothquant"),
                  .out = directory / "q"};
  testing::expect_error<c10::ValueError>([&] { run_quantize(job); },
                                         {"the transform smooth", "--calibration"});
  job.calibration = repository() / "assets/text/calibration.txt";
  job.recipe.calibration.windows = 2;
  job.recipe.calibration.length = 64;
  const auto outcome = run_quantize(job);
  EXPECT_EQ(outcome.offsets.size(), 2u);
  EXPECT_LT(logits_error(directory / "q"), 0.05);
}

TEST(Pipeline, EveryPresetThatLooksAtTextGivesAModelThatStillWorks) {
  for (const auto& [preset, largest] : std::map<std::string, double>{{"w4a16-g128-awq", 0.3},
                                                                     {"w3a16-g64-magr-gptq", 0.6},
                                                                     {"w4a4-g64-svdquant", 0.5},
                                                                     {"w4a4-spinquant", 0.6}}) {
    SCOPED_TRACE(preset);
    const TemporaryDirectory directory;
    QuantizeJob job{.model = repository() / "assets/tiny-lm",
                    .recipe = load_recipe(preset),
                    .out = directory / "q"};
    job.calibration = repository() / "assets/text/calibration.txt";
    job.recipe.calibration.windows = 4;
    job.recipe.calibration.length = 64;
    for (TransformStep& step : job.recipe.transforms)
      for (const char* key : {"iterations", "steps"})
        if (step.options.contains(key)) step.options[key] = 1;
    run_quantize(job);
    EXPECT_LT(logits_error(directory / "q"), largest);
    const auto manifest = read_json_file(directory / "q" / "laconic.json");
    EXPECT_EQ(manifest.contains("graph"), preset.starts_with("w4a4"));
    EXPECT_FALSE(manifest["report"]["transforms"].empty());
  }
}

TEST(Pipeline, OnlineRotationKeepsItsGraphAndIsRefusedByExporters) {
  const TemporaryDirectory directory;
  QuantizeJob job{.model = repository() / "assets/tiny-lm",
                  .recipe = rotated(", online: true, keys: true"),
                  .out = directory / "q"};
  run_quantize(job);
  EXPECT_LT(logits_error(directory / "q"), 0.02);
  EXPECT_EQ(load_language_model(directory / "q").graph_changes.size(), 2u);
  const auto native = NativeDirectory::open(directory / "q");
  testing::expect_error<c10::NotImplementedError>(
      [&] { find_exporter("gguf-f32").write(*native, directory / "q.gguf", false); },
      {"the transform rotate (online)", "leave it out"});
  std::filesystem::remove(directory / "q/graph.safetensors");
  testing::expect_error<c10::ValueError>([&] { load_language_model(directory / "q"); },
                                         {"graph.safetensors", "no such file"});
  job.out = directory / "other";
  job.exports = {"compressed-tensors"};
  testing::expect_error<c10::ValueError>([&] { run_quantize(job); },
                                         {"the transform rotate (keys)", "leave it out"});
}

TEST(Pipeline, QuantizedAttentionIsKeptInTheGraphAndRefusedByExporters) {
  const TemporaryDirectory directory;
  const auto quantized = [&](const std::string& attention) {
    QuantizeJob job{.model = repository() / "assets/tiny-lm",
                    .recipe = parse_recipe("rules: [{weight: {bits: 8, granularity: channel}}]\n"
                                           "attention: [" +
                                               attention + "]",
                                           "r.yaml"),
                    .out = directory / "q",
                    .overwrite = true};
    run_quantize(job);
    return job;
  };
  quantized("{keys: {bits: 8, granularity: token}, values: {bits: 8, granularity: token}}");
  EXPECT_LT(logits_error(directory / "q"), 0.02);
  EXPECT_EQ(load_language_model(directory / "q").graph.quantizers.size(), 12u);
  quantized("{probabilities: {bits: 8, signed: false, granularity: token}}");
  EXPECT_LT(logits_error(directory / "q"), 0.02);
  EXPECT_EQ(load_language_model(directory / "q").graph.quantizers.size(), 6u);
  quantized(
      "{probabilities: {bits: 2, signed: false, scale: constant, value: 0.333}, queries: {bits: 8, "
      "granularity: token}}");
  EXPECT_GT(logits_error(directory / "q"), 0.05);
  quantized("{values: {bits: 2, granularity: token}}");
  const double coarse = logits_error(directory / "q");
  EXPECT_GT(coarse, 0.05);
  QuantizeJob job = quantized("{values: {bits: 2, granularity: token}, residual: 16}");
  EXPECT_LT(logits_error(directory / "q"), coarse);
  job.exports = {"gguf-f32"};
  testing::expect_error<c10::ValueError>([&] { run_quantize(job); },
                                         {"what attention reads", "leave attention out"});
}

TEST(Pipeline, AttentionRulesFitTheModel) {
  const auto plan_of = [](const std::string& attention) {
    const QuantizeJob job{
        .model = repository() / "assets/tiny-lm",
        .recipe = parse_recipe("rules: [{weight: {bits: 8}}]\nattention: " + attention, "r.yaml"),
        .out = testing::TemporaryDirectory() / "q"};
    check_quantize(job);
  };
  plan_of("[{keys: {bits: 4, granularity: group, axis: -1, group_size: 16}}]");
  testing::expect_error<c10::ValueError>(
      [&] { plan_of("[{keys: {bits: 4, granularity: group, axis: -1, group_size: 24}}]"); },
      {"r.yaml:2:13", "keys: group_size 24 does not divide the 32 features of a head"});
  testing::expect_error<c10::ValueError>(
      [&] { plan_of("[{layers: '*.attention', keys: {bits: 4, granularity: token}}]"); },
      {"r.yaml:2:22", "matches no attention", "model.layers.0.self_attn"});
}

TEST(Pipeline, WorkingDirectoryWithOtherFilesIsLeftAlone) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "q.partial");
  write_text_file(directory / "q.partial/mine.txt", "x");
  testing::expect_error<c10::ValueError>(
      [&] {
        run_quantize({.model = repository() / "assets/tiny-lm",
                      .recipe = load_recipe("w8a16"),
                      .out = directory / "q"});
      },
      {"q.partial", "Remove"});
  EXPECT_TRUE(std::filesystem::exists(directory / "q.partial/mine.txt"));
}

}  // namespace
}  // namespace laconic
