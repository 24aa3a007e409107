#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/testing/testing.h"

namespace laconic::testing {
namespace {

const std::string kModel = "assets/tiny-lm", kText = "assets/text/evaluation.txt",
                  kCalibration = "assets/text/calibration.txt";

double perplexity(const std::string& model) {
  const auto result = run_program({program().string(), "evaluate", "perplexity", model, "--text",
                                   kText, "--context", "256", "--json", "--quiet"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  return result.exit_code == 0 ? nlohmann::json::parse(result.output).at("perplexity").get<double>()
                               : 0;
}

void quantize(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {program().string(), "quantize", kModel, "--quiet"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const auto result = run_program(command);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
}

TEST(TinyLm, FloatPerplexityIsThatOfItsPage) {
  EXPECT_NEAR(perplexity(kModel), 58.264, 58.264 * 1e-3);
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
  quantize({"--recipe", "gguf-q4_0-gptq", "--calibration", kCalibration, "--set",
            "calibration.windows=16", "--out", gptq});
  EXPECT_LT(perplexity(gptq), perplexity(nearest));
}

TEST(TinyLm, TwoReadersFindTheSameWeightsInBothExports) {
  const char* python = std::getenv("LACONIC_PYTHON");
  if (python == nullptr || *python == 0)
    GTEST_SKIP() << "set LACONIC_PYTHON to a Python with gguf and compressed-tensors";
  const TemporaryDirectory directory;
  const std::string out = (directory / "q").string(), file = (directory / "q.gguf").string(),
                    folder = (directory / "ct").string();
  quantize({"--recipe", "gguf-q4_0", "--out", out});
  for (const auto& [format, target] :
       {std::pair{"gguf", file}, std::pair{"compressed-tensors", folder}}) {
    const auto result =
        run_program({program().string(), "export", out, "--format", format, "--out", target});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
  }
  const auto read = run_program({python, "tests/readers/same_weights.py", file, folder});
  EXPECT_EQ(read.exit_code, 0) << read.output << read.errors;
  EXPECT_THAT(read.output, ::testing::HasSubstr("42 weights are the same"));
}

}  // namespace
}  // namespace laconic::testing
