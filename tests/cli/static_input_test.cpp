// Static activations from the recipe to the export.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/testing/testing.h"

namespace laconic::testing {
namespace {

const std::string kModel = "assets/tiny-lm", kText = "assets/text/evaluation.txt",
                  kCalibration = "assets/text/calibration.txt";

std::string quantize(const TemporaryDirectory& directory, const std::string& name,
                     const std::vector<std::string>& settings) {
  const std::string out = (directory / name).string();
  std::vector<std::string> command = {program().string(),
                                      "quantize",
                                      kModel,
                                      "--quiet",
                                      "--calibration",
                                      kCalibration,
                                      "--out",
                                      out,
                                      "--set",
                                      "calibration.windows=8",
                                      "--set",
                                      "calibration.length=256"};
  command.insert(command.end(), settings.begin(), settings.end());
  const auto result = run_program(command);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  return out;
}

double perplexity(const std::string& model) {
  const auto result = run_program({program().string(), "evaluate", "perplexity", model, "--text",
                                   kText, "--context", "256", "--json", "--quiet"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  return result.exit_code == 0 ? nlohmann::json::parse(result.output).at("perplexity").get<double>()
                               : 0;
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
  const auto result = run_program({program().string(), "quantize", kModel, "--recipe",
                                   "w8a8-static", "--out", (directory / "q").string()});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.errors, ::testing::HasSubstr("static scale of inputs"));
  EXPECT_THAT(result.errors, ::testing::HasSubstr("--calibration"));
}

TEST(StaticInputs, TheExportedScalesAreReadByCompressedTensors) {
  const char* python = std::getenv("LACONIC_PYTHON");
  if (python == nullptr || *python == 0)
    GTEST_SKIP() << "set LACONIC_PYTHON to a Python with compressed-tensors";
  const TemporaryDirectory directory;
  for (const auto& settings : {kStatic, kUnsigned}) {
    const std::string out = quantize(directory, "q" + std::to_string(settings.size()), settings);
    const std::string folder = out + "-ct";
    const auto exported = run_program(
        {program().string(), "export", out, "--format", "compressed-tensors", "--out", folder});
    EXPECT_EQ(exported.exit_code, 0) << exported.errors;
    const auto read = run_program({python, "tests/readers/check_static_inputs.py", out, folder});
    EXPECT_EQ(read.exit_code, 0) << read.output << read.errors;
    EXPECT_THAT(read.output, ::testing::HasSubstr("42 inputs are quantized alike"));
  }
}

}  // namespace
}  // namespace laconic::testing
