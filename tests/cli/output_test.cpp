// What the program prints, and where.
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include "laconic/solve/solve.h"
#include "tests/cli/run.h"

namespace laconic {
namespace {

using ::testing::HasSubstr;
using testing::kEvaluationText;
using testing::kTinyLm;
using testing::run;
using testing::run_json;
using testing::TemporaryDirectory;

const std::vector<std::string> kShortEvaluation = {"evaluate", "perplexity",    kTinyLm,
                                                   "--text",   kEvaluationText, "--context",
                                                   "64",       "--windows",     "4"};

TEST(Output, JsonIsOneObjectOfEveryCommand) {
  const TemporaryDirectory directory;
  const std::string out = (directory / "q").string();
  const auto quantized =
      run_json({"quantize", kTinyLm, "--recipe", "gguf-q4_0", "--out", out, "--export", "gguf"});
  EXPECT_EQ(quantized["recipe"], "gguf-q4_0");
  EXPECT_EQ(quantized["exports"][0]["path"], out + ".gguf");
  EXPECT_GT(run_json(kShortEvaluation)["perplexity"], 10);
  EXPECT_EQ(run_json({"export", out, "--format", "gguf", "--out",
                      (directory / "a.gguf").string()})["format"],
            "gguf");
  EXPECT_EQ(run_json({"compare", kTinyLm, "--recipes", "w8a16", "--text", kEvaluationText,
                      "--context", "64", "--windows", "2"})["rows"]
                .size(),
            2u);
  EXPECT_GE(run_json({"recipes"})["recipes"].size(), 8u);
  EXPECT_THAT(run_json({"recipes", "w4a16"})["yaml"].get<std::string>(), HasSubstr("bits: 4"));
  EXPECT_EQ(run_json({"recipes", "--quantizers"})["solvers"].size(), solvers().size());
}

TEST(Output, ProgressIsPlainLinesWithoutATerminalAndNothingWhenQuiet) {
  auto command = kShortEvaluation;
  const auto plain = run(command);
  EXPECT_THAT(plain.errors, HasSubstr("evaluate: 4/4"));
  EXPECT_THAT(plain.errors, HasSubstr("/s, "));
  EXPECT_THAT(plain.errors, ::testing::Not(HasSubstr("\r")));
  command.emplace_back("--quiet");
  const auto quiet = run(command);
  EXPECT_EQ(quiet.errors, "");
  EXPECT_THAT(quiet.output, HasSubstr("perplexity "));
}

TEST(Output, ProgressOnATerminalIsOneRewrittenLineWithRateAndTimeLeft) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    const std::string program = testing::program().string();
    ::execl(program.c_str(), program.c_str(), "evaluate", "perplexity", kTinyLm.c_str(), "--text",
            kEvaluationText.c_str(), "--context", "256", "--batch", "1", nullptr);
    ::_exit(127);
  }
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = ::read(terminal, buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<size_t>(count));
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(terminal);
  EXPECT_EQ(WEXITSTATUS(status), 0) << text;
  EXPECT_THAT(text, HasSubstr("\r\x1b[Kevaluate: "));
  EXPECT_THAT(text, HasSubstr("/s, "));
  EXPECT_THAT(text, HasSubstr(" left"));
  EXPECT_THAT(text, HasSubstr("perplexity 58."));
}

}  // namespace
}  // namespace laconic
