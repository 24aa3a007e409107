// --host-memory: the limit is kept, and changes no byte.
#include "tests/cli/run.h"

namespace laconic {
namespace {

using testing::kCalibrationText;
using testing::kTinyLm;
using testing::needed_memory;
using testing::TemporaryDirectory;
using Words = std::vector<std::string>;

Words job(const std::string& recipe, const std::filesystem::path& out, const Words& more = {}) {
  Words words = {"quantize",       kTinyLm,     "--recipe", recipe,  "--calibration",
                 kCalibrationText, "--threads", "1",        "--out", out.string()};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Words limited(Words words, uint64_t bytes) {
  words.insert(words.end(), {"--host-memory", std::to_string(bytes)});
  return words;
}

/// @returns  report.memory.
nlohmann::json expect_kept(const std::string& recipe, const Words& settings) {
  SCOPED_TRACE(recipe);
  const TemporaryDirectory directory;
  const auto free = testing::run_json(job(recipe, directory / "free", settings));
  const uint64_t limit = needed_memory(job(recipe, directory / "tight", settings)) + (1 << 20);
  const auto tight = testing::run_json(limited(job(recipe, directory / "tight", settings), limit));
  EXPECT_LE(tight["peak_bytes"].get<uint64_t>(), limit);
  EXPECT_LT(tight["peak_bytes"].get<uint64_t>(), free["peak_bytes"].get<uint64_t>());
  const auto& memory = tight["report"]["memory"];
  EXPECT_EQ(memory["activations"], "disk");
  EXPECT_EQ(memory["limit"], limit);
  EXPECT_LE(memory["planned"].get<uint64_t>(), limit);
  EXPECT_GT(memory["spilled"].get<uint64_t>(), 0u);
  EXPECT_EQ(free["report"]["memory"]["activations"], "memory");
  testing::expect_same_files(directory / "free", directory / "tight");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 2);
  return memory;
}

const Words kShort = {"--set", "calibration.windows=24",
                      "--set", "calibration.length=256",
                      "--set", "layers=[\"*.v_proj\", \"*.down_proj\"]"};

TEST(HostMemory, IsKeptByOneNetworkAndChangesNoByte) { expect_kept("w4a16-g128-gptq", kShort); }

TEST(HostMemory, IsKeptByTwoNetworksAndChangesNoByte) { expect_kept("w2a16-g64-qronos", kShort); }

TEST(HostMemory, IsKeptByASolverOfWholeBlocksAndChangesNoByte) {
  Words settings = kShort;
  settings.insert(settings.end(), {"--set", "solver_options.steps=2"});
  const auto memory = expect_kept("w4a16-g128-autoround", settings);
  // Those of both inputs of a block wait for one another: 256^2 and 768^2 numbers.
  EXPECT_EQ(memory["hessians"], "disk");
  EXPECT_EQ(memory["spilled_hessians"], (256 * 256 + 768 * 768) * 4);
}

TEST(HostMemory, HessiansThatWaitGoToDiskBeforeActivations) {
  const TemporaryDirectory directory;
  Words settings = kShort;
  settings.insert(settings.end(), {"--set", "solver_options.steps=2", "--batch", "1"});
  const std::string recipe = "w4a16-g128-autoround";
  const auto free = testing::run_json(job(recipe, directory / "free", settings));
  const auto planned = free["report"]["memory"]["planned"].get<uint64_t>();
  EXPECT_EQ(free["report"]["memory"]["spilled_hessians"], 0);
  // Less by more than what the program itself takes differs by, and less than the Hessians are.
  const auto less =
      testing::run_json(limited(job(recipe, directory / "less", settings), planned - (1 << 20)));
  EXPECT_EQ(less["report"]["memory"]["hessians"], "disk");
  EXPECT_EQ(less["report"]["memory"]["activations"], "memory");
  testing::expect_same_files(directory / "free", directory / "less");
}

TEST(HostMemory, FewerWindowsAtOnceComeBeforeTheDisk) {
  const TemporaryDirectory directory;
  const Words settings = {
      "--set", "calibration.windows=4", "--set", "calibration.length=512", "--batch", "4"};
  const auto free = testing::run_json(job("w4a16-g128-gptq", directory / "free", settings));
  const auto planned = free["report"]["memory"]["planned"].get<uint64_t>();
  const auto less = testing::run_json(
      limited(job("w4a16-g128-gptq", directory / "less", settings), planned - (4 << 20)));
  EXPECT_EQ(less["report"]["memory"]["activations"], "memory");
  EXPECT_LT(less["report"]["memory"]["batch"], 4);
  testing::expect_same_files(directory / "free", directory / "less");
}

TEST(HostMemory, TooLittleIsRefusedBeforeAnyWorkWithTheLayerAndTheNumber) {
  const TemporaryDirectory directory;
  testing::expect_failure(limited(job("w4a16-g128-gptq", directory / "out"), 50 << 20), 2,
                          {"--host-memory 50.0 MiB is too little", "model.layers.0.mlp.down_proj",
                           " bytes; ", "calibration.length", "nearest"});
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  for (const std::string size : {"much", "-1GiB", "0"}) {
    Words words = job("w4a16-g128-gptq", directory / "out");
    words.insert(words.end(), {"--host-memory=" + size});
    testing::expect_failure(words, 2, {"--host-memory", "1.5GiB", size});
  }
}

}  // namespace
}  // namespace laconic
