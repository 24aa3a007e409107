// One job by several processes, started by hand and by torchrun.
#include <thread>

#include "tests/cli/run.h"
#include "tests/processes/in_threads.h"

namespace laconic {
namespace {

using testing::ProgramResult;
using testing::TemporaryDirectory;

std::vector<std::string> job(const std::filesystem::path& out, const std::string& recipe) {
  return {"quantize",      testing::kTinyLm,
          "--recipe",      recipe,
          "--calibration", testing::kCalibrationText,
          "--set",         "calibration.windows=5",
          "--set",         "calibration.length=64",
          "--threads",     "1",
          "--out",         out.string()};
}

/// Each process with its own arguments, by rank.
std::vector<ProgramResult> start_all(const std::vector<std::vector<std::string>>& commands) {
  const std::string port = std::to_string(testing::free_port());
  std::vector<ProgramResult> results(commands.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < commands.size(); ++rank)
    threads.emplace_back([&, rank] {
      std::vector<std::string> command = {"env",
                                          "MASTER_ADDR=127.0.0.1",
                                          "MASTER_PORT=" + port,
                                          "RANK=" + std::to_string(rank),
                                          "WORLD_SIZE=" + std::to_string(commands.size()),
                                          testing::program().string()};
      command.insert(command.end(), commands[rank].begin(), commands[rank].end());
      results[rank] = testing::run_program(command, 120);
    });
  for (std::thread& thread : threads) thread.join();
  return results;
}

/// Mean error of the layers' outputs.
double output_error(const std::filesystem::path& out) {
  const auto manifest = nlohmann::json::parse(read_text_file(out / "laconic.json"));
  double sum = 0;
  const auto& layers = manifest["report"]["layers"];
  for (const auto& layer : layers) sum += layer["output_error"].get<double>();
  return sum / static_cast<double>(layers.size());
}

TEST(SeveralProcesses, WriteOneModelAsGoodAsThatOfOne) {
  const TemporaryDirectory directory;
  testing::run_done(job(directory / "alone", "w4a16-g128-gptq"));
  auto command = job(directory / "shared", "w4a16-g128-gptq");
  command.emplace_back("--json");
  const auto results = start_all({command, command, command});
  for (const ProgramResult& result : results) EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(nlohmann::json::parse(results[0].output)["processes"], 3);
  EXPECT_EQ(results[1].output, "");
  EXPECT_EQ(testing::listing(directory / "shared"), testing::listing(directory / "alone"));
  EXPECT_NEAR(output_error(directory / "shared"), output_error(directory / "alone"),
              0.02 * output_error(directory / "alone"));
}

TEST(SeveralProcesses, RoundingToNearestGivesTheSameBytes) {
  const TemporaryDirectory directory;
  testing::run_done(job(directory / "alone", "w8a16"));
  for (const ProgramResult& result :
       start_all({job(directory / "shared", "w8a16"), job(directory / "shared", "w8a16")}))
    EXPECT_EQ(result.exit_code, 0) << result.errors;
  testing::expect_same_files(directory / "alone", directory / "shared");
}

TEST(SeveralProcesses, WithDifferentJobsAreRefused) {
  const TemporaryDirectory directory;
  const auto results =
      start_all({job(directory / "out", "w4a16-g128-gptq"), job(directory / "other", "w8a16")});
  for (const ProgramResult& result : results) {
    EXPECT_EQ(result.exit_code, 2) << result.errors;
    EXPECT_THAT(result.errors, ::testing::HasSubstr("process 1 has another job than process 0"));
    EXPECT_THAT(result.errors, ::testing::HasSubstr("--out"));
    EXPECT_THAT(result.errors, ::testing::HasSubstr("--recipe"));
  }
  EXPECT_TRUE(testing::listing(directory.path()).empty());
}

TEST(SeveralProcesses, OneWithWrongInputEndsAll) {
  const TemporaryDirectory directory;
  auto wrong = job(directory / "out", "w4a16-g128-gptq");
  wrong[1] = (directory / "absent").string();
  const auto results = start_all({job(directory / "out", "w4a16-g128-gptq"), wrong});
  EXPECT_EQ(results[1].exit_code, 2) << results[1].errors;
  EXPECT_EQ(results[0].exit_code, 1) << results[0].errors;
  EXPECT_THAT(results[0].errors, ::testing::HasSubstr("another process has stopped"));
}

TEST(SeveralProcesses, AreForQuantizeAlone) {
  for (const ProgramResult& result : start_all({{"recipes"}, {"recipes"}})) {
    EXPECT_EQ(result.exit_code, 2) << result.errors;
    EXPECT_THAT(result.errors, ::testing::HasSubstr("only `laconic quantize` shares its work"));
  }
}

TEST(SeveralProcesses, AreStartedByTorchrun) {
  if (testing::python().empty()) GTEST_SKIP() << testing::kNoPython;
  const TemporaryDirectory directory;
  std::vector<std::string> command = {testing::python(),
                                      "-m",
                                      "torch.distributed.run",
                                      "--no-python",
                                      "--nproc-per-node=2",
                                      "--master-addr=127.0.0.1",
                                      "--master-port=" + std::to_string(testing::free_port()),
                                      testing::program().string()};
  for (const auto& argument : job(directory / "out", "w4a16-g128-gptq"))
    command.push_back(argument);
  const auto result = testing::run_program(command, 300);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_GT(output_error(directory / "out"), 0);
}

}  // namespace
}  // namespace laconic
