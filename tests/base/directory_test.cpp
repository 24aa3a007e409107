#include "laconic/base/directory.h"

#include "laconic/base/atomic_file.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;

std::filesystem::path made(const std::filesystem::path& directory, const std::string& text) {
  std::filesystem::create_directories(directory);
  write_text_file(directory / "text", text);
  return directory;
}

TEST(Directory, ReplacingLeavesTheNewOneAndNothingElse) {
  const TemporaryDirectory directory;
  const auto working = made(directory / "a.partial", "new"), final = directory / "a";
  replace_directory(working, final);
  EXPECT_EQ(read_text_file(final / "text"), "new");
  made(working, "newer");
  replace_directory(working, final);
  EXPECT_EQ(read_text_file(final / "text"), "newer");
  const auto entries = std::filesystem::directory_iterator(directory.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(Directory, ReplacingKeepsANeighbourThatHappensToBeCalledOld) {
  const TemporaryDirectory directory;
  made(directory / "a", "1");
  made(directory / "a.old", "mine");
  replace_directory(made(directory / "a.partial", "2"), directory / "a");
  EXPECT_EQ(read_text_file(directory / "a.old" / "text"), "mine");
}

TEST(Directory, WithinFollowsPathsThatAreNotThereYet) {
  const TemporaryDirectory directory;
  const auto a = directory / "a";
  EXPECT_TRUE(is_within(a, a));
  EXPECT_TRUE(is_within(a.string() + "/", a));
  EXPECT_TRUE(is_within(a / "b" / "c", a));
  EXPECT_TRUE(is_within(a / ".." / "a" / "b", a));
  EXPECT_FALSE(is_within(a, a / "b"));
  EXPECT_FALSE(is_within(directory / "ab", a));
  std::filesystem::create_directory(a);
  std::filesystem::create_directory_symlink(a, directory / "link");
  EXPECT_TRUE(is_within(directory / "link" / "b", a));
}

TEST(DirectoryLock, HoldsOffASecondOneUntilItIsGone) {
  const TemporaryDirectory directory;
  {
    const DirectoryLock lock(directory.path());
    expect_error<c10::ValueError>([&] { DirectoryLock second(directory.path()); },
                                  {directory.path().string(), "another process"});
  }
  const DirectoryLock again(directory.path());
  expect_error<c10::Error>([&] { DirectoryLock lock(directory / "absent"); }, {"absent"});
}

}  // namespace
}  // namespace laconic
