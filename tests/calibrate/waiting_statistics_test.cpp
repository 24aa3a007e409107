#include "laconic/calibrate/waiting_statistics.h"

#include <ATen/ops/rand.h>

#include "tests/testing/testing.h"

namespace laconic {
namespace {

TEST(WaitingStatistics, OnDiskAreTheSameWhenTheyComeBack) {
  const testing::TemporaryDirectory directory;
  const LayerStatistics given{
      .hessian = at::rand({300, 300}), .mean_square = at::rand({300}), .rows = 7};
  const auto check = [&](const WaitingStatistics& waiting) {
    const LayerStatistics kept = waiting.put_away(given);
    const LayerStatistics back = waiting.bring(kept);
    EXPECT_TRUE(back.hessian.equal(given.hessian));
    EXPECT_TRUE(back.mean_square.is_same(given.mean_square));
    EXPECT_FALSE(back.mismatch.defined());
    EXPECT_EQ(back.rows, 7);
    waiting.drop(kept);
    EXPECT_TRUE(kept.hessian.equal(given.hessian));
    return kept.hessian.is_alias_of(given.hessian);
  };
  const WaitingStatistics disk(at::kCPU, KeptIn::kDisk,
                               std::make_shared<DiskMemory>(directory.path()));
  EXPECT_FALSE(check(disk));
  EXPECT_EQ(disk.peak_disk_bytes(), 300u * 300 * 4);
  EXPECT_TRUE(check(WaitingStatistics()));
  EXPECT_EQ(WaitingStatistics().peak_disk_bytes(), 0u);
}

}  // namespace
}  // namespace laconic
