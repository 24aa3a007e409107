#include "laconic/recipe/calibrate.h"

#include <ATen/ATen.h>

#include "laconic/base/atomic_file.h"
#include "laconic/recipe/pipeline.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::repository;
using testing::TemporaryDirectory;

const fs::path& text() {
  static const fs::path path = repository() / "assets/text/calibration.txt";
  return path;
}

CalibrateJob small_job(const fs::path& out) {
  return {.model = repository() / "assets/tiny-lm",
          .calibration = text(),
          .out = out,
          .options = {.windows = 8, .length = 64}};
}

const fs::path& statistics() {
  static const TemporaryDirectory directory;
  static const fs::path path = [] {
    run_calibrate(small_job(directory / "statistics"));
    return directory / "statistics";
  }();
  return path;
}

Recipe small_recipe(const std::string& rest, const std::string& more = "") {
  return parse_recipe("calibration: {windows: 8, length: 64" + more + "}\n" + rest, "r.yaml");
}

QuantizeOutcome quantized(const Recipe& recipe, const fs::path& out, bool from_statistics) {
  QuantizeJob job{.model = repository() / "assets/tiny-lm", .recipe = recipe, .out = out};
  (from_statistics ? job.statistics : job.calibration) = from_statistics ? statistics() : text();
  return run_quantize(job);
}

void expect_same_result(const Recipe& with_text, const Recipe& with_statistics) {
  const TemporaryDirectory directory;
  quantized(with_text, directory / "text", false);
  quantized(with_statistics, directory / "statistics", true);
  for (const auto& entry : fs::directory_iterator(directory / "text")) {
    const auto other = directory / "statistics" / entry.path().filename().string();
    EXPECT_TRUE(read_text_file(entry.path()) == read_text_file(other)) << other;
  }
}

const std::string kGptq =
    "rules: [{layers: '*.o_proj', weight: {bits: 4, granularity: channel}, solver: gptq}]\n";

TEST(Calibrate, RecipesOfFloatInputsGiveTheSameFilesAsWithTheText) {
  const auto recipe = small_recipe(kGptq, ", quantized_inputs: false");
  expect_same_result(recipe, recipe);
  const auto with_scales = small_recipe(
      "rules: [{layers: '*.down_proj', weight: {bits: 8, granularity: channel}, input: {bits: 8, "
      "scale: static, statistic: absmax}}]\n",
      ", quantized_inputs: false");
  expect_same_result(with_scales, with_scales);
}

TEST(Calibrate, OtherRecipesAreTakenAsOfFloatInputsAndANoteSaysSo) {
  expect_same_result(small_recipe(kGptq, ", quantized_inputs: false"), small_recipe(kGptq));
  const TemporaryDirectory directory;
  const auto outcome = quantized(small_recipe(kGptq), directory / "out", true);
  ASSERT_EQ(outcome.notes.size(), 1u);
  EXPECT_NE(outcome.notes[0].find("quantized_inputs is false"), std::string::npos);
  const auto plain = small_recipe("rules: [{layers: '*.o_proj', weight: {bits: 4}}]\n");
  EXPECT_NE(quantized(plain, directory / "plain", true).notes.at(0).find("not used"),
            std::string::npos);
}

TEST(Calibrate, TransformsThatLookAtInputsGiveTheSameFilesAsWithTheText) {
  for (const std::string transform : {"{name: awq}", "{name: smooth, online: true}"}) {
    const auto recipe = small_recipe("transforms: [" + transform + "]\n" +
                                     "rules: [{layers: 'model.layers.0.*', weight: {bits: 4, "
                                     "granularity: channel}}]\n");
    expect_same_result(recipe, recipe);
  }
}

TEST(Calibrate, WhatStatisticsCannotServeIsRefusedBeforeAnyWorkWithTheWay) {
  const TemporaryDirectory directory;
  const auto refused = [&](const std::string& rest, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>([&] { quantized(small_recipe(rest), directory / "out", true); },
                                  words);
    EXPECT_TRUE(fs::is_empty(directory.path()));
  };
  const auto solver = [](const std::string& name) {
    return "rules: [{weight: {bits: 4}, solver: " + name + "}]\n";
  };
  refused(solver("qronos"), {"[statistics]", "float network alone", "gptq"});
  refused(solver("autoround"), {"[statistics]", "whole block"});
  refused("transforms: [{name: magr}]\n" + kGptq, {"[statistics]", "transforms changed"});
  refused("transforms: [{name: fold_norms}, {name: awq}]\n" + solver("nearest"),
          {"[transform]", "Put this transform first"});
  refused("transforms: [{name: fold_norms}, {name: spin}]\n" + solver("nearest"),
          {"[statistics]", "spin", "--calibration"});
}

TEST(Calibrate, StatisticsOfOtherWindowsTextOrModelAreRefusedNamingWhatDiffers) {
  StatisticsUse use{repository() / "assets/tiny-lm", text(), "r", {.windows = 8, .length = 64}};
  EXPECT_NE(open_statistics(statistics(), use), nullptr);
  auto other = use;
  other.wanted = {.windows = 9, .length = 64, .seed = 3};
  expect_error<c10::ValueError>(
      [&] { open_statistics(statistics(), other); },
      {"recipe r", "--set calibration.windows=8 (it has 9)", "calibration.seed=0"});
  other = use;
  other.calibration = repository() / "assets/text/evaluation.txt";
  expect_error<c10::ValueError>([&] { open_statistics(statistics(), other); },
                                {"another text", "evaluation.txt"});
  const TemporaryDirectory directory;
  fs::copy(use.model, directory / "model");
  write_text_file(directory / "model/generation_config.json", "{\"max_length\": 3}");
  other = use;
  other.model = directory / "model";
  expect_error<c10::ValueError>([&] { open_statistics(statistics(), other); },
                                {"another model", "laconic calibrate"});
}

TEST(Calibrate, LeavesNothingHalfWrittenAndReplacesOnlyStatistics) {
  const TemporaryDirectory directory;
  auto job = small_job(directory / "out");
  job.options.length = 16;
  // What a killed run left.
  fs::create_directories(directory / "out.partial");
  write_text_file(directory / "out.partial/input-00000.safetensors", "half");
  const auto outcome = run_calibrate(job);
  EXPECT_EQ(outcome.layers, 43);
  EXPECT_TRUE(StatisticsStore::is_store(directory / "out"));
  EXPECT_FALSE(fs::exists(directory / "out.partial"));
  expect_error<c10::ValueError>([&] { run_calibrate(job); }, {"[calibrate]", "--overwrite"});
  job.overwrite = true;
  job.host_memory = 1 << 20;
  expect_error<c10::ValueError>([&] { run_calibrate(job); }, {"--host-memory"});
  EXPECT_FALSE(fs::exists(directory / "out.partial"));
  EXPECT_TRUE(StatisticsStore::is_store(directory / "out"));
  job.host_memory = 0;
  fs::create_directories(directory / "mine");
  write_text_file(directory / "mine/letter.txt", "dear");
  job.out = directory / "mine";
  expect_error<c10::ValueError>([&] { run_calibrate(job); }, {"never overwritten"});
  job.out = directory / "new";
  fs::create_directories(directory / "new.partial");
  write_text_file(directory / "new.partial/letter.txt", "dear");
  expect_error<c10::ValueError>([&] { run_calibrate(job); }, {"letter.txt", "Remove it"});
  EXPECT_TRUE(fs::exists(directory / "new.partial/letter.txt"));
}

}  // namespace
}  // namespace laconic
