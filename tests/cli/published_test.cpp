// The figures that the real models' page gives for them, by the program.
#include <fstream>

#include "tests/cli/run.h"

namespace laconic::testing {
namespace {

class PublishedFigure : public ::testing::Test {
 protected:
  /// The page's figures have four or five digits; a thousandth is the bound of the comparison.
  void expect(const std::string& model, const std::filesystem::path& text, double published,
              const std::vector<std::string>& windows) {
    const auto directory = test_data(model);
    if (directory.empty() || !std::filesystem::exists(text)) GTEST_SKIP() << kNoData;
    std::vector<std::string> command = {"evaluate", "perplexity", directory, "--text", text};
    command.insert(command.end(), windows.begin(), windows.end());
    EXPECT_NEAR(run_json(command).value("perplexity", 0.0), published, 0.001 * published);
  }

  const std::filesystem::path stories_ = test_data("tinystories/eval.txt");
  const std::vector<std::string> bos_ = {"--context", "256", "--bos", "window"};
};

TEST_F(PublishedFigure, OfALlamaThatTellsStories) {
  expect("stories260k", stories_, 5.42063, bos_);
}

TEST_F(PublishedFigure, OfALlamaOfCharacters) { expect("babyllama-105", stories_, 2.6050, bos_); }

TEST_F(PublishedFigure, OfGpt2OnTheLastCharactersOfShakespeare) {
  const auto whole = test_data("tinyshakespeare/input.txt");
  if (whole.empty()) GTEST_SKIP() << kNoData;
  const std::string text = read_text_file(whole);
  const TemporaryDirectory directory;
  const auto last = directory / "last.txt";
  std::ofstream(last, std::ios::binary) << text.substr(text.size() - 111540);
  expect("shakespeare-gpt2", last, 7.10705, {"--context", "96"});
}

// 187,026 predictions of a network of 29 million parameters: a minute and a half of two cores.
TEST_F(PublishedFigure, OfALlamaOfTechnicalText) {
  expect("docs-lm", test_data("docs-text/evaluation.txt"), 12.1835, {"--context", "512"});
}

}  // namespace
}  // namespace laconic::testing
