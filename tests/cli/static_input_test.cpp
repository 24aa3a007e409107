// Static activations from the recipe to the export.
#include "tests/cli/run.h"

namespace laconic::testing {
namespace {

std::string quantize(const TemporaryDirectory& directory, const std::string& name,
                     const std::vector<std::string>& settings) {
  const std::string out = (directory / name).string();
  std::vector<std::string> command = {"quantize",
                                      kTinyLm,
                                      "--quiet",
                                      "--calibration",
                                      kCalibrationText,
                                      "--out",
                                      out,
                                      "--set",
                                      "calibration.windows=8",
                                      "--set",
                                      "calibration.length=256"};
  command.insert(command.end(), settings.begin(), settings.end());
  run_done(command);
  return out;
}

const std::vector<std::string> kStatic = {"--recipe", "w8a8-static"};
const std::vector<std::string> kUnsigned = {"--recipe", "w8a8-static",
                                            "--set",    "input.signed=false",
                                            "--set",    "input.statistic=min_max",
                                            "--set",    "input.zero_point=integer"};

TEST(StaticInputs, EightBitsLoseLittleAndFourMore) {
  const TemporaryDirectory directory;
  const double eight = perplexity(quantize(directory, "eight", kStatic));
  const double shifted = perplexity(quantize(directory, "unsigned", kUnsigned));
  auto settings = kStatic;
  settings.insert(settings.end(), {"--set", "input.bits=4"});
  const double four = perplexity(quantize(directory, "four", settings));
  EXPECT_NEAR(eight, 58.264, 58.264 * 0.02);  // float; the scale of inputs is one for the tensor
  EXPECT_NEAR(shifted, 58.264, 58.264 * 0.02);
  EXPECT_GT(four, eight * 1.05);
}

TEST(StaticInputs, NeedACalibrationText) {
  const TemporaryDirectory directory;
  expect_failure({"quantize", kTinyLm, "--recipe", "w8a8-static", "--out", directory / "q"}, 2,
                 {"static scale of inputs", "--calibration"});
}

TEST(StaticInputs, TheExportedScalesAreReadByCompressedTensors) {
  if (python().empty()) GTEST_SKIP() << kNoPython;
  const TemporaryDirectory directory;
  for (const auto& settings : {kStatic, kUnsigned}) {
    const std::string out = quantize(directory, "q" + std::to_string(settings.size()), settings);
    const std::string folder = out + "-ct";
    run_done({"export", out, "--format", "compressed-tensors", "--out", folder});
    EXPECT_THAT(read_with("check_static_inputs.py", {out, folder}),
                ::testing::HasSubstr("42 inputs are quantized alike"));
  }
}

}  // namespace
}  // namespace laconic::testing
