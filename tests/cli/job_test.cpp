// The program as a user runs it.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "laconic/base/atomic_file.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using ::testing::HasSubstr;
using testing::program;
using testing::TemporaryDirectory;

const std::string kModel = "assets/tiny-lm";
const std::string kCalibration = "assets/text/calibration.txt";
const std::string kText = "assets/text/evaluation.txt";

testing::ProgramResult run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program().string());
  return testing::run_program(arguments);
}

nlohmann::json run_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const auto result = run(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  return nlohmann::json::parse(result.output);
}

void expect_failure(const std::vector<std::string>& arguments, int exit_code,
                    const std::vector<std::string>& words) {
  const auto result = run(arguments);
  EXPECT_EQ(result.exit_code, exit_code);
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.errors, HasSubstr("laconic: error: "));
  EXPECT_THAT(result.errors, ::testing::Not(HasSubstr("frame #")));
  for (const std::string& word : words) EXPECT_THAT(result.errors, HasSubstr(word));
}

std::map<std::string, std::string> contents(const std::filesystem::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    files[entry.path().filename().string()] = read_text_file(entry.path());
  }
  return files;
}

void expect_same_files(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto first = contents(a), second = contents(b);
  ASSERT_EQ(first.size(), second.size());
  for (const auto& [name, bytes] : first) {
    ASSERT_TRUE(second.contains(name)) << name;
    EXPECT_TRUE(second.at(name) == bytes) << name;
  }
}

// Small and with a Hessian, so that there are blocks to be interrupted between.
std::vector<std::string> gptq_job(const std::filesystem::path& out) {
  return {"quantize",      kModel,
          "--recipe",      "w4a16-g128-gptq",
          "--calibration", kCalibration,
          "--set",         "calibration.windows=16",
          "--set",         "calibration.length=256",
          "--threads",     "1",
          "--out",         out.string()};
}

TEST(Job, QuantizedModelIsEvaluatedAgainstTheFloatModel) {
  const TemporaryDirectory directory;
  const auto out = directory / "q";
  const auto report =
      run_json({"quantize", kModel, "--recipe", "w4a16-g32", "--out", out.string()});
  EXPECT_EQ(report["report"]["layers"].size(), 42u);
  EXPECT_DOUBLE_EQ(report["bits_per_weight"], 5.0);
  EXPECT_GT(report["report"]["layers"][0]["signal_to_noise_db"], 15);
  EXPECT_FALSE(std::filesystem::exists(out.string() + ".partial"));
  const auto result = run_json({"evaluate", "perplexity", out.string(), "--text", kText,
                                "--context", "256", "--windows", "4", "--against", kModel});
  EXPECT_EQ(result["windows"], 4);
  EXPECT_EQ(result["predictions"], 4 * 255);
  EXPECT_GT(result["kl_divergence"], 0.001);
  EXPECT_GT(result["top1_agreement"], 0.8);
  const auto text = run({"evaluate", "perplexity", out.string(), "--text", kText, "--context", "64",
                         "--windows", "2"});
  EXPECT_THAT(text.output,
              HasSubstr("2 windows of 64 tokens, 126 predictions, convention gptq, BOS none"));
}

TEST(Job, SameCommandGivesTheSameBytes) {
  const TemporaryDirectory directory;
  for (const std::string name : {"a", "b"}) EXPECT_EQ(run(gptq_job(directory / name)).exit_code, 0);
  expect_same_files(directory / "a", directory / "b");
}

// Starts the program, waits for the first finished block, and presses Ctrl-C.
int run_interrupted(std::vector<std::string> arguments, const std::filesystem::path& working) {
  arguments.insert(arguments.begin(), program().string());
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char*> words;
    for (auto& word : arguments) words.push_back(word.data());
    words.push_back(nullptr);
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 1), ::dup2(null, 2);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  const auto has_shard = [&] {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(working, ignored)) {
      if (entry.path().extension() == ".safetensors") return true;
    }
    return false;
  };
  int status = 0;
  bool signalled = false;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (!signalled && has_shard()) signalled = ::kill(child, SIGINT) == 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Job, InterruptedOneContinuesAndGivesTheSameBytes) {
  const TemporaryDirectory directory;
  const auto whole = directory / "whole", broken = directory / "broken";
  const auto working = broken.string() + ".partial";
  ASSERT_EQ(run(gptq_job(whole)).exit_code, 0);
  EXPECT_EQ(run_interrupted(gptq_job(broken), working), 130);
  EXPECT_FALSE(std::filesystem::exists(broken));
  EXPECT_TRUE(std::filesystem::exists(working));
  auto changed = gptq_job(broken);
  changed.insert(changed.end(), {"--set", "weight.bits=3"});
  expect_failure(changed, 2, {working, "the recipe has changed", "Remove"});
  const auto report = run_json(gptq_job(broken));
  EXPECT_TRUE(report["resumed"]);
  EXPECT_EQ(report["report"]["layers"].size(), 42u);
  expect_same_files(whole, broken);
  EXPECT_FALSE(std::filesystem::exists(working));
}

TEST(Job, FinishedDirectoryIsReplacedOnlyWithOverwrite) {
  const TemporaryDirectory directory;
  const auto out = directory / "q";
  std::vector<std::string> job = {"quantize", kModel, "--recipe", "w8a16", "--out", out.string()};
  ASSERT_EQ(run(job).exit_code, 0);
  const auto before = contents(out);
  job[3] = "w4a16";
  expect_failure(job, 2, {out.string(), "--overwrite"});
  EXPECT_EQ(contents(out), before);
  job.emplace_back("--overwrite");
  EXPECT_EQ(run(job).exit_code, 0);
  EXPECT_NE(contents(out), before);
}

TEST(Job, FullDiskIsOneErrorAndLeavesNoFinishedDirectory) {
  const TemporaryDirectory directory;
  const auto out = directory / "q";
  // A limit of the file size stands for the full disk: 1,000 KiB, a block needs more.
  const std::string command = "ulimit -f 500; exec " + program().string() + " quantize " + kModel +
                              " --recipe w8a16 --out " + out.string();
  const auto result = testing::run_program({"/bin/bash", "-c", command});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr("laconic: error: "));
  EXPECT_THAT(result.errors, HasSubstr("writing failed"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(JobFault, WrongInputIsOneErrorWithExitCode2) {
  const TemporaryDirectory directory;
  const std::string out = (directory / "q").string();
  expect_failure({"quantize", "nowhere", "--recipe", "w4a16", "--out", out}, 2, {"nowhere"});
  expect_failure({"quantize", kModel, "--recipe", "w4a61", "--out", out}, 2,
                 {"did you mean \"w4a16\"?"});
  expect_failure({"quantize", kModel, "--recipe", "w4a16-gptq", "--out", out}, 2,
                 {"gptq", "--calibration"});
  expect_failure({"quantize", kModel, "--recipe", "w4a16", "--out", out, "--export", "ggfu"}, 2,
                 {"ggfu", "gguf"});
  expect_failure({"quantize", kModel, "--recipe", "w4a16", "--out", out, "--device", "cuda"}, 2,
                 {"--device cpu"});
  expect_failure({"quantize", kModel, "--recipe", "w4a16", "--out", out, "--set", "layers=*.qproj"},
                 2, {"*.q_proj"});
  expect_failure(
      {"quantize", kModel, "--recipe", "w4a16-gptq", "--calibration", "nothing.txt", "--out", out},
      2, {"nothing.txt"});
  expect_failure({"evaluate", "perplexity", kModel, "--text", "nothing.txt"}, 2, {"nothing.txt"});
  std::ofstream(directory / "short.txt") << "Hello.";
  expect_failure({"evaluate", "perplexity", kModel, "--text", (directory / "short.txt").string()},
                 2, {"512", "longer text"});
  expect_failure({"quantize", kModel, "--recipe", "w4a16-gptq", "--calibration",
                  (directory / "short.txt").string(), "--out", out},
                 2, {"short.txt"});
  std::ofstream(directory / "bad.txt") << "caf\xe9";
  expect_failure({"evaluate", "perplexity", kModel, "--text", (directory / "bad.txt").string()}, 2,
                 {"byte 3", "UTF-8"});
  expect_failure({"export", kModel, "--format", "gguf", "--out", out}, 2, {kModel, "laconic.json"});
  EXPECT_FALSE(std::filesystem::exists(out));
  EXPECT_FALSE(std::filesystem::exists(out + ".partial"));
}

TEST(Job, QuantizedModelIsNotQuantizedAgain) {
  const TemporaryDirectory directory;
  const std::string out = (directory / "q").string();
  ASSERT_EQ(run({"quantize", kModel, "--recipe", "w8a16", "--out", out}).exit_code, 0);
  expect_failure({"quantize", out, "--recipe", "w4a16", "--out", out + "2"}, 2,
                 {"already quantized"});
}

TEST(Compare, TableAndJsonHaveTheFloatModelFirst) {
  const TemporaryDirectory directory;
  const auto json =
      run_json({"compare", kModel, "--recipes", "w8a16,w4a16", "--text", kText, "--context", "128",
                "--windows", "4", "--out", (directory / "models").string()});
  ASSERT_EQ(json["rows"].size(), 3u);
  EXPECT_EQ(json["rows"][0]["recipe"], "float");
  EXPECT_EQ(json["rows"][2]["recipe"], "w4a16");
  EXPECT_LT(json["rows"][1]["kl_divergence"], json["rows"][2]["kl_divergence"]);
  EXPECT_LT(json["rows"][2]["bytes"], json["rows"][1]["bytes"]);
  EXPECT_TRUE(std::filesystem::exists(directory / "models" / "w8a16" / "laconic.json"));
  const auto table = run({"compare", kModel, "--recipes", "w8a16", "--text", kText, "--context",
                          "128", "--windows", "2"});
  EXPECT_EQ(table.exit_code, 0) << table.errors;
  EXPECT_THAT(table.output, HasSubstr("recipe"));
  EXPECT_THAT(table.output, HasSubstr("\nfloat "));
  expect_failure({"compare", kModel, "--recipes", "w8a16,w8a16", "--text", kText}, 2,
                 {"two recipes", "w8a16"});
}

}  // namespace
}  // namespace laconic
