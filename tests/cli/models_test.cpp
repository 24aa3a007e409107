// The presets on the small model, and the whole way on real models of other kinds and sizes.
#include <fstream>

#include "tests/cli/run.h"

namespace laconic::testing {
namespace {

using Words = std::vector<std::string>;

Words join(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// How far the quantized model is from the float one, nats a token.
double divergence(const std::string& quantized, const std::string& model, const std::string& text,
                  const Words& options) {
  const auto result = run_json(join(
      {"evaluate", "perplexity", quantized, "--text", text, "--against", model, "--windows", "8"},
      options));
  return result["kl_divergence"];
}

TEST(Presets, EachWorksOnTheSmallModel) {
  const TemporaryDirectory directory;
  struct Row {
    std::string name;
    double bits, worst;
  };
  for (const Row& row : {Row{"w8a16", 8.13, 0.01}, Row{"w4a16", 4.13, 0.4},
                         Row{"w4a16-g128", 4.25, 0.2}, Row{"w4a16-g128-gptq", 4.25, 0.2},
                         Row{"w4a16-gptq", 4.13, 0.4}, Row{"w3a16-g64-gptq", 3.5, 0.8},
                         Row{"w8a8-dynamic", 8.13, 0.02}, Row{"gguf-q4_0-gptq", 4.5, 0.2}}) {
    SCOPED_TRACE(row.name);
    const std::string out = (directory / row.name).string();
    const auto report = run_json({"quantize", kTinyLm, "--recipe", row.name, "--calibration",
                                  kCalibrationText, "--set", "calibration.windows=8", "--set",
                                  "calibration.length=128", "--out", out});
    EXPECT_NEAR(report["bits_per_weight"].get<double>(), row.bits, 0.05);
    EXPECT_LT(divergence(out, kTinyLm, kEvaluationText, {"--context", "256"}), row.worst);
  }
}

/// Token ids 0, 1, ..., `vocabulary` - 1, 0, ... as a NumPy file.
std::string write_ids(const std::filesystem::path& path, int32_t count, int32_t vocabulary) {
  std::string header =
      "{'descr': '<i4', 'fortran_order': False, 'shape': (" + std::to_string(count) + ",), }";
  header.resize(117, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00\x76\x00", 10);
  bytes += header;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t id = i % vocabulary;
    bytes.append(reinterpret_cast<const char*>(&id), sizeof(id));
  }
  std::ofstream(path, std::ios::binary) << bytes;
  return path.string();
}

/// One JSON object a line of the text.
std::string write_lines(const std::filesystem::path& path, const std::filesystem::path& text) {
  std::ifstream in(text);
  std::ofstream out(path);
  std::string line;
  for (int i = 0; i < 300 && std::getline(in, line); ++i)
    out << nlohmann::json{{"text", line}}.dump() << "\n";
  return path.string();
}

class OtherModels : public ::testing::Test {
 protected:
  /// Skips where the models are not at hand.
  void SetUp() override {
    if (test_data("stories260k").empty()) GTEST_SKIP() << kNoData;
  }
  static std::string data(const std::string& name) { return test_data(name).string(); }
  std::string out() const { return (directory_ / "out").string(); }

  /// Quantizes with few windows and gives the divergence.
  double quantized_divergence(const std::string& model, const std::string& calibration,
                              const Words& options, const std::string& text,
                              const Words& evaluation) {
    const auto report = run_json(
        join({"quantize", model, "--calibration", calibration, "--out", out(), "--overwrite",
              "--set", "calibration.windows=8", "--set", "calibration.length=96"},
             options));
    for (const auto& done : report["exports"])
      EXPECT_TRUE(std::filesystem::exists(done["path"].get<std::string>()));
    return divergence(out(), model, text, evaluation);
  }

  TemporaryDirectory directory_;
};

const Words kG32 = {"--recipe", "w4a16-g128-gptq",   "--set", "weight.group_size=32",
                    "--export", "compressed-tensors"};

TEST_F(OtherModels, LlamaOfCharactersFromTextLinesAndIds) {
  const std::string model = data("babyllama-105"), text = data("tinystories/eval.txt");
  const Words evaluation = {"--context", "256", "--bos", "window"};
  const std::string calibration = data("tinystories/calib.txt");
  EXPECT_LT(quantized_divergence(model, calibration, kG32, text, evaluation), 0.1);
  EXPECT_LT(quantized_divergence(model, write_lines(directory_ / "lines.jsonl", calibration), kG32,
                                 text, evaluation),
            0.1);
  EXPECT_LT(
      quantized_divergence(model, write_ids(directory_ / "ids.npy", 2000, 105),
                           {"--recipe", "gguf-q4_0-gptq", "--export", "gguf"}, text, evaluation),
      0.3);
}

// Its rows of 172 weights do not split into groups of 32.
TEST_F(OtherModels, LlamaWithOddSizesTakesAnotherGroupOrPads) {
  const std::string model = data("stories260k"), text = data("tinystories/eval.txt"),
                    calibration = data("tinystories/calib.txt");
  const Words evaluation = {"--context", "256", "--bos", "window"};
  const Words gptq = {"--recipe", "w4a16-g128-gptq"};
  expect_failure(join({"quantize", model, "--out", out(), "--calibration", calibration},
                      join(gptq, {"--set", "weight.group_size=32"})),
                 2, {"172 inputs of model.layers.0.mlp.down_proj", "such as 4"});
  EXPECT_LT(quantized_divergence(model, calibration, join(gptq, {"--set", "weight.group_size=4"}),
                                 text, evaluation),
            0.1);
  EXPECT_LT(quantized_divergence(
                model, calibration,
                join(gptq, {"--set", "weight.group_size=32", "--set", "weight.pad=true"}), text,
                evaluation),
            0.2);
}

// Its activation is ReLU, which llama.cpp's GPT-2 lacks.
TEST_F(OtherModels, Gpt2WithTransposedWeightsThatNoExportHolds) {
  const std::string model = data("shakespeare-gpt2"), text = data("tinyshakespeare/input.txt");
  const Words job = {"quantize", model,      "--out",          out(),     "--calibration",
                     text,       "--recipe", "gguf-q4_0-gptq", "--export"};
  expect_failure(join(job, {"compressed-tensors"}), 2, {"transformer.h.0.attn.c_attn", "Conv1D"});
  expect_failure(join(job, {"gguf"}), 2, {"activation_function is relu", "not for GPT-2"});
  EXPECT_LT(
      quantized_divergence(model, text, {"--recipe", "gguf-q4_0-gptq"}, text, {"--context", "96"}),
      0.1);
}

}  // namespace
}  // namespace laconic::testing
