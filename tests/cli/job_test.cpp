// The program as a user runs it.
#include "tests/cli/run.h"

namespace laconic {
namespace {

using testing::contents;
using testing::expect_failure;
using testing::gptq_job;
using ::testing::HasSubstr;
using testing::kEvaluationText;
using testing::kTinyLm;
using testing::run;
using testing::run_json;
using testing::TemporaryDirectory;

TEST(Job, QuantizedModelIsEvaluatedAgainstTheFloatModel) {
  const TemporaryDirectory directory;
  const auto out = directory / "q";
  const auto report =
      run_json({"quantize", kTinyLm, "--recipe", "w4a16-g32", "--out", out.string()});
  EXPECT_EQ(report["report"]["layers"].size(), 42u);
  EXPECT_DOUBLE_EQ(report["bits_per_weight"], 5.0);
  EXPECT_GT(report["report"]["layers"][0]["signal_to_noise_db"], 15);
  EXPECT_FALSE(std::filesystem::exists(out.string() + ".partial"));
  const auto result =
      run_json({"evaluate", "perplexity", out.string(), "--text", kEvaluationText, "--context",
                "256", "--windows", "4", "--against", kTinyLm, "--layers"});
  EXPECT_EQ(result["windows"], 4);
  EXPECT_EQ(result["predictions"], 4 * 255);
  EXPECT_GT(result["kl_divergence"], 0.001);
  EXPECT_GT(result["top1_agreement"], 0.8);
  ASSERT_EQ(result["layers"].size(), 42u);
  EXPECT_NEAR(result["layers"][0]["weight_signal_to_noise_db"],
              report["report"]["layers"][0]["signal_to_noise_db"], 0.01);
  const auto text = run({"evaluate", "perplexity", out.string(), "--text", kEvaluationText,
                         "--context", "64", "--windows", "2"});
  EXPECT_THAT(text.output,
              HasSubstr("2 windows of 64 tokens, 126 predictions, convention gptq, BOS none"));
}

TEST(Job, SameCommandGivesTheSameBytes) {
  const TemporaryDirectory directory;
  for (const std::string name : {"a", "b"}) EXPECT_EQ(run(gptq_job(directory / name)).exit_code, 0);
  testing::expect_same_files(directory / "a", directory / "b");
}

TEST(Job, FinishedDirectoryIsReplacedOnlyWithOverwrite) {
  const TemporaryDirectory directory;
  const auto out = directory / "q";
  std::vector<std::string> job = {"quantize", kTinyLm, "--recipe", "w8a16", "--out", out.string()};
  ASSERT_EQ(run(job).exit_code, 0);
  const auto before = contents(out);
  job[3] = "w4a16";
  expect_failure(job, 2, {out.string(), "--overwrite"});
  EXPECT_EQ(contents(out), before);
  job.emplace_back("--overwrite");
  EXPECT_EQ(run(job).exit_code, 0);
  EXPECT_NE(contents(out), before);
}

TEST(Compare, TableAndJsonHaveTheFloatModelFirst) {
  const TemporaryDirectory directory;
  const auto json =
      run_json({"compare", kTinyLm, "--recipes", "w8a16,w4a16", "--text", kEvaluationText,
                "--context", "128", "--windows", "4", "--out", (directory / "models").string()});
  ASSERT_EQ(json["rows"].size(), 3u);
  EXPECT_EQ(json["rows"][0]["recipe"], "float");
  EXPECT_EQ(json["rows"][2]["recipe"], "w4a16");
  EXPECT_LT(json["rows"][1]["kl_divergence"], json["rows"][2]["kl_divergence"]);
  EXPECT_LT(json["rows"][2]["bytes"], json["rows"][1]["bytes"]);
  EXPECT_TRUE(std::filesystem::exists(directory / "models" / "w8a16" / "laconic.json"));
  const auto table = run({"compare", kTinyLm, "--recipes", "w8a16", "--text", kEvaluationText,
                          "--context", "128", "--windows", "2"});
  EXPECT_EQ(table.exit_code, 0) << table.errors;
  EXPECT_THAT(table.output, HasSubstr("recipe"));
  EXPECT_THAT(table.output, HasSubstr("\nfloat "));
}

}  // namespace
}  // namespace laconic
