#include "laconic/base/disk_memory.h"

#include <cstring>
#include <vector>

#include "laconic/base/byte_size.h"
#include "laconic/base/memory.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

constexpr size_t kBytes = size_t{64} << 20;

TEST(DiskMemory, WhatWasDroppedIsOutOfMemoryAndThereWhenItIsUsed) {
  const TemporaryDirectory directory;
  const DiskMemory base(directory.path());
  DiskMemory disk = base;
  const auto memory = disk.take(kBytes);
  std::memset(memory.get(), 7, kBytes);
  const uint64_t full = resident_bytes();
  disk.drop(memory.get(), kBytes);
  EXPECT_LT(resident_bytes() + kBytes * 9 / 10, full);
  EXPECT_EQ(memory.get()[0], std::byte{7});
  EXPECT_EQ(memory.get()[kBytes - 1], std::byte{7});
}

TEST(DiskMemory, LeavesNoFileAndCountsTheMostThatWasTaken) {
  const TemporaryDirectory directory;
  DiskMemory disk(directory.path());
  auto first = disk.take(1000), second = disk.take(500);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  first.reset();
  const auto third = disk.take(200);
  EXPECT_EQ(disk.peak_bytes(), 1500u);
}

TEST(DiskMemory, WhatIsTakenOutlivesIt) {
  const TemporaryDirectory directory;
  std::shared_ptr<std::byte> memory;
  {
    DiskMemory disk(directory.path());
    memory = disk.take(4096);
  }
  memory.get()[4095] = std::byte{3};
  EXPECT_EQ(memory.get()[4095], std::byte{3});
}

TEST(DiskMemory, OtherMemoryIsLeftAlone) {
  const TemporaryDirectory directory;
  DiskMemory disk(directory.path());
  const auto memory = disk.take(4096);
  const std::vector<char> other(1 << 20, 5);
  disk.drop(other.data(), other.size());
  EXPECT_EQ(std::count(other.begin(), other.end(), 5), 1 << 20);
}

TEST(DiskMemory, RoomThatThereIsNotIsAnErrorThatNamesThePlace) {
  const TemporaryDirectory directory;
  DiskMemory disk(directory.path());
  expect_error<c10::Error>(
      [&] { disk.take(size_t{1} << 60); },
      {directory.path().string(), "1152921504606846976 bytes", "--host-memory"});
  DiskMemory nowhere(directory / "absent");
  expect_error<c10::Error>([&] { nowhere.take(1); }, {"absent", "No such file"});
}

TEST(ByteSize, HasUnitsOfBothKinds) {
  EXPECT_EQ(parse_byte_size("1.5GiB"), uint64_t{3} << 29);
  EXPECT_EQ(parse_byte_size("800MB"), 800'000'000u);
  EXPECT_EQ(parse_byte_size("64kib"), 65'536u);
  EXPECT_EQ(parse_byte_size("4000000000"), 4'000'000'000u);
  for (const char* wrong :
       {"", "GiB", "-1GiB", "0", "0.1", "1 GiB", "1e3", "2XB", "inf", "9999999TiB"})
    EXPECT_FALSE(parse_byte_size(wrong)) << wrong;
}

}  // namespace
}  // namespace laconic
