#include "laconic/base/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <vector>

#include "tests/testing/instrumented.h"

namespace laconic {
namespace {

constexpr size_t kPiece = size_t{16} << 20, kPage = 4096;
constexpr int kPieces = 8;

int64_t page_faults() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return used.ru_minflt;
}

/// Takes memory, writes to every page of it, and frees it.
void take_and_free() {
  std::vector<void*> pieces;
  for (int i = 0; i < kPieces; ++i) {
    auto* piece = static_cast<volatile char*>(std::malloc(kPiece));
    for (size_t at = 0; at < kPiece; at += kPage) piece[at] = 1;
    pieces.push_back(const_cast<char*>(piece));
  }
  for (void* piece : pieces) std::free(piece);
}

TEST(FreedMemoryKept, IsTakenAgainWithoutNewPagesAndGivenBackAtTheEnd) {
  if (testing::kIsInstrumented) GTEST_SKIP() << "a sanitizer has a heap of its own";
  const uint64_t before = resident_bytes();
  {
    const FreedMemoryKept kept;
    take_and_free();
    EXPECT_GT(resident_bytes(), before + (kPieces - 1) * kPiece);
    const int64_t faults = page_faults();
    take_and_free();
    EXPECT_LT(page_faults() - faults, static_cast<int64_t>(kPieces * kPiece / kPage / 8));
  }
  EXPECT_LT(resident_bytes(), before + kPiece);
}

}  // namespace
}  // namespace laconic
