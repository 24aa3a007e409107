// calibrate once; quantize and compare from it, also a model with a tied head.
#include "tests/cli/run.h"

namespace laconic {
namespace {

using testing::kCalibrationText;
using testing::kEvaluationText;
using testing::kTinyLm;
using testing::TemporaryDirectory;

TEST(Statistics, AreGatheredOnceAndServeQuantizeAndCompare) {
  const TemporaryDirectory directory;
  const std::string stored = directory / "stored";
  const auto gathered =
      testing::run_json({"calibrate", kTinyLm, "--calibration", kCalibrationText, "--windows", "8",
                         "--length", "64", "--threads", "1", "--out", stored});
  EXPECT_EQ(gathered["windows"], 8);
  EXPECT_EQ(gathered["memory"]["activations"], "memory");
  const auto quantized =
      testing::run_json({"quantize", kTinyLm, "--recipe", "w4a16-g128-gptq", "--statistics", stored,
                         "--set", "calibration.windows=8", "--set", "calibration.length=64",
                         "--threads", "1", "--out", directory / "out"});
  EXPECT_EQ(quantized["calibration_offsets"], gathered["calibration_offsets"]);
  testing::expect_failure({"quantize", kTinyLm, "--recipe", "w4a16-g128-gptq", "--statistics",
                           stored, "--out", directory / "other"},
                          2, {"--set calibration.windows=8 (it has 128)"});
  const auto compared = testing::run_json(
      {"compare", kTinyLm, "--recipes", "w4a16-g128-gptq,w3a16-g64-gptq,w4a16-g128-awq",
       "--statistics", stored, "--set", "calibration.windows=8", "--set", "calibration.length=64",
       "--text", kEvaluationText, "--context", "64", "--windows", "2"});
  ASSERT_EQ(compared["rows"].size(), 4u);
  for (const auto& row : compared["rows"]) EXPECT_GT(row["perplexity"].get<double>(), 1);
}

}  // namespace
}  // namespace laconic
