// The small model from the recipe to the readers of its exports.
#include "tests/cli/run.h"

namespace laconic::testing {
namespace {

void quantize(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"quantize", kTinyLm, "--quiet"});
  run_done(arguments);
}

TEST(TinyLm, FloatPerplexityIsThatOfItsPage) {
  EXPECT_NEAR(perplexity(kTinyLm), 58.264, 58.264 * 1e-3);
}

TEST(TinyLm, RoundToNearestGivesTheSixFiguresOfItsPage) {
  struct Row {
    std::string bits, group;
    double expected;
  };
  for (const Row& row : {Row{"8", "128", 58.274}, Row{"4", "128", 60.395}, Row{"3", "128", 72.281},
                         Row{"4", "32", 59.576}, Row{"3", "32", 68.824}, Row{"2", "32", 737.75}}) {
    SCOPED_TRACE(row.bits + " bits, groups of " + row.group);
    const TemporaryDirectory directory;
    const std::string out = (directory / "q").string();
    quantize({"--recipe", "w4a16-g128", "--set", "weight.bits=" + row.bits, "--set",
              "weight.group_size=" + row.group, "--set", "weight.threshold=largest_code", "--out",
              out});
    EXPECT_NEAR(perplexity(out), row.expected, row.expected * 1e-3);
  }
}

TEST(TinyLm, GptqIsBetterThanRoundToNearest) {
  const TemporaryDirectory directory;
  const std::string nearest = (directory / "nearest").string(),
                    gptq = (directory / "gptq").string();
  quantize({"--recipe", "gguf-q4_0", "--out", nearest});
  quantize({"--recipe", "gguf-q4_0-gptq", "--calibration", kCalibrationText, "--set",
            "calibration.windows=16", "--out", gptq});
  EXPECT_LT(perplexity(gptq), perplexity(nearest));
}

TEST(TinyLm, TwoReadersFindTheSameWeightsInBothExports) {
  if (python().empty()) GTEST_SKIP() << kNoPython;
  const TemporaryDirectory directory;
  const std::string out = (directory / "q").string(), file = (directory / "q.gguf").string(),
                    folder = (directory / "ct").string();
  quantize({"--recipe", "gguf-q4_0", "--out", out});
  run_done({"export", out, "--format", "gguf", "--out", file});
  run_done({"export", out, "--format", "compressed-tensors", "--out", folder});
  EXPECT_THAT(read_with("same_weights.py", {file, folder}),
              ::testing::HasSubstr("42 weights are the same"));
}

}  // namespace
}  // namespace laconic::testing
