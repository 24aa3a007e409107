#include "laconic/recipe/journal.h"

#include "laconic/base/atomic_file.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;
using State = JobDirectory::State;

const JobIdentity kJob{"1", "2", "3"};

TEST(JobDirectory, IsNewThenResumedByTheSameJobOnly) {
  const TemporaryDirectory directory;
  EXPECT_EQ(JobDirectory(directory.path(), kJob).state(), State::kNew);
  EXPECT_EQ(JobDirectory(directory.path(), kJob).state(), State::kResumed);
  expect_error<c10::ValueError>(
      [&] {
        JobDirectory(directory.path(), {"1", "4", "5"});
      },
      {"the recipe, the calibration text have changed", "Remove"});
}

TEST(JobDirectory, OneWithAManifestOfTheSameJobIsFinished) {
  const TemporaryDirectory directory;
  write_text_file(directory / "laconic.json",
                  R"({"job": {"model": "1", "recipe": "2", "data": "3"}})");
  EXPECT_EQ(JobDirectory(directory.path(), kJob).state(), State::kFinished);
  expect_error<c10::ValueError>(
      [&] {
        JobDirectory(directory.path(), {"9", "2", "3"});
      },
      {"the model has changed"});
}

TEST(JobDirectory, FilesWithoutAJournalAreNotTouched) {
  const TemporaryDirectory directory;
  write_text_file(directory / "letter.txt", "dear");
  expect_error<c10::ValueError>([&] { JobDirectory(directory.path(), kJob); }, {"job.json"});
  EXPECT_TRUE(std::filesystem::exists(directory / "letter.txt"));
  EXPECT_FALSE(std::filesystem::exists(directory / "job.json"));
}

TEST(JobDirectory, CleaningUpKeepsFinishedBlocksUnlessTheInputWasWrong) {
  struct Row {
    bool resumed, has_block, wrong_input, kept;
  };
  for (const Row& row : {Row{false, false, false, false}, Row{false, true, false, true},
                         Row{false, true, true, false}, Row{true, true, true, true},
                         Row{true, false, true, false}}) {
    const TemporaryDirectory directory;
    const auto path = directory / "out.partial";
    std::filesystem::create_directory(path);
    if (row.resumed) JobDirectory(path, kJob);
    JobDirectory job(path, kJob);
    if (row.has_block) write_text_file(path / "model.safetensors", "");
    job.clean_up(row.wrong_input);
    EXPECT_EQ(std::filesystem::exists(path), row.kept);
  }
}

}  // namespace
}  // namespace laconic
