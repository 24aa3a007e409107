#include "laconic/cli/command_line.h"

#include <chrono>

#include "tests/cli/run.h"

namespace laconic {
namespace {

using ::testing::HasSubstr;
using testing::run;

void expect_wrong_use(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& words) {
  testing::expect_failure(arguments, 2, words);
}

TEST(CommandLine, EveryCommandHasAHelpWithAnExample) {
  for (const std::string command : {"quantize", "evaluate", "export", "compare", "recipes"}) {
    SCOPED_TRACE(command);
    const auto result = run({command, "--help"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.output, HasSubstr("Example:\n  laconic " + command));
    EXPECT_EQ(result.errors, "");
  }
  EXPECT_THAT(run({"evaluate", "perplexity", "-h"}).output,
              HasSubstr("Usage: laconic evaluate perplexity"));
}

TEST(CommandLine, HelpNeedsNoLibTorchAndIsThereAtOnce) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(run({"--help"}).exit_code, 0);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 5;
  // LibTorch alone takes longer to load.
  EXPECT_LT(seconds, 0.2);
}

TEST(CommandLine, VersionIsPrinted) {
  EXPECT_THAT(run({"--version"}).output, HasSubstr("laconic 0."));
}

TEST(CommandLine, WrongWordsAreAnsweredWithTheNearestRightOne) {
  expect_wrong_use({"quantise"}, {"unknown command \"quantise\"", "did you mean \"quantize\"?"});
  expect_wrong_use({"quantize", "--recipee", "x"}, {"\"--recipee\"", "did you mean \"--recipe\"?"});
  expect_wrong_use({"evaluate", "perplexty", "m"}, {"\"perplexty\"", "perplexity"});
  expect_wrong_use({"evaluate", "perplexity", "m", "--text", "t", "--convention", "llama_cpp"},
                   {"\"llama.cpp\""});
}

TEST(CommandLine, WhatIsMissingOrTooMuchIsNamed) {
  expect_wrong_use({}, {"no command"});
  expect_wrong_use({"quantize", "m", "--out", "o"}, {"--recipe"});
  expect_wrong_use({"quantize", "m", "--recipe"}, {"--recipe"});
  expect_wrong_use({"export", "m", "n", "--format", "gguf", "--out", "o"},
                   {"unexpected argument \"n\""});
  expect_wrong_use({"evaluate"}, {"perplexity"});
}

TEST(CommandLine, WhatIsNotThereYetSaysSo) {
  const std::vector<std::string> job = {"quantize", "m", "--recipe", "w4a16", "--out", "o"};
  const auto with = [&](const std::string& option, const std::string& value) {
    auto words = job;
    words.insert(words.end(), {option, value});
    return words;
  };
  expect_wrong_use(with("--device", "cuda"), {"--device cuda", "use --device cpu"});
  expect_wrong_use({"recipes", "--target", "llama.cpp"}, {"--target: not supported yet"});
}

TEST(CommandLine, DeviceMemoryWithoutADeviceIsRefusedInOneSentence) {
  const std::vector<std::vector<std::string>> jobs = {
      {"quantize", "m", "--recipe", "w4a16", "--out", "o", "--device-memory", "4GiB"},
      {"calibrate", "m", "--calibration", "t", "--out", "o", "--device-memory=4000000000"}};
  for (const auto& job : jobs)
    expect_wrong_use(job, {"--device-memory: expected --device cuda beside it"});
  auto wrong = jobs.front();
  wrong.back() = "much";
  expect_wrong_use(wrong, {"--device-memory", "1.5GiB", "much"});
}

TEST(CommandLine, AnOptionGivenTwiceIsAnError) {
  expect_wrong_use({"quantize", "m", "--recipe", "a", "--recipe", "b", "--out", "o"},
                   {"--recipe: expected once"});
}

TEST(CommandLine, NumbersAreChecked) {
  for (const std::string word : {"0", "-1", "1.5", "many", "99999999999999999999", ""}) {
    SCOPED_TRACE(word);
    expect_wrong_use({"evaluate", "perplexity", "m", "--text", "t", "--windows", word},
                     {"--windows", "whole number"});
    expect_wrong_use({"quantize", "m", "--recipe", "r", "--out", "o", "--threads", word},
                     {"--threads", "whole number"});
  }
}

TEST(CommandLine, OptionsReachTheCommand) {
  const std::vector<const char*> words = {
      "laconic", "quantize", "m",   "--recipe", "r", "--out",     "o", "--set", "a=1", "--set",
      "b=[1,2]", "--export", "x,y", "--seed",   "7", "--threads", "2", "--json"};
  const auto parsed = parse_command_line(static_cast<int>(words.size()), words.data());
  ASSERT_TRUE(std::holds_alternative<CommandLine>(parsed));
  const auto& line = std::get<CommandLine>(parsed);
  const auto& command = std::get<QuantizeCommand>(line.command);
  EXPECT_EQ(command.model, "m");
  EXPECT_EQ(command.settings, (std::vector<std::string>{"a=1", "b=[1,2]"}));
  EXPECT_EQ(command.exports, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(command.seed, 7);
  EXPECT_EQ(line.threads, 2);
  EXPECT_TRUE(line.json);
}

TEST(Recipes, ListAndJsonNameEveryPreset) {
  EXPECT_THAT(run({"recipes"}).output, HasSubstr("w4a16"));
  expect_wrong_use({"recipes", "w4a61"}, {"unknown preset", "w4a16"});
}

}  // namespace
}  // namespace laconic
