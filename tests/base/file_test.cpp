#include "laconic/base/atomic_file.h"
#include "laconic/base/mapped_file.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TemporaryDirectory directory;
  {
    AtomicFile file(directory / "a");
    file.write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(AtomicFile, IsWholeAfterCommit) {
  const TemporaryDirectory directory;
  write_text_file(directory / "a", "whole");
  EXPECT_EQ(read_text_file(directory / "a"), "whole");
  EXPECT_FALSE(std::filesystem::exists(directory / "a.partial"));
}

TEST(AtomicFile, AFullDiskIsNamed) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const TemporaryDirectory directory;
  std::filesystem::create_symlink("/dev/full", directory / "a.partial");
  AtomicFile file(directory / "a");
  expect_error<c10::Error>([&] { file.write("x"); }, {"/a", "No space left"});
}

TEST(MappedFile, RefusesWhatIsNotAFile) {
  const TemporaryDirectory directory;
  expect_error<c10::ValueError>([&] { MappedFile::open(directory / "absent"); },
                                {"absent", "cannot open"});
  expect_error<c10::ValueError>([&] { MappedFile::open(directory.path()); }, {"regular file"});
}

TEST(MappedFile, EmptyFileHasNoBytes) {
  const TemporaryDirectory directory;
  write_text_file(directory / "empty", "");
  EXPECT_TRUE(MappedFile::open(directory / "empty")->bytes().empty());
}

}  // namespace
}  // namespace laconic
