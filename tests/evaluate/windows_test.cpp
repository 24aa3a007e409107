#include "laconic/evaluate/windows.h"

#include "tests/testing/testing.h"

namespace laconic {
namespace {

TEST(Windows, GptqCutsTheTextAndDropsTheLastPartialWindow) {
  const auto windows = plan_windows(23, {.context = 5});
  ASSERT_EQ(windows.size(), 4u);
  EXPECT_EQ(windows[3].begin, 15);
  EXPECT_EQ(windows[3].end, 20);
  EXPECT_EQ(windows[0].predictions(), 4);
}

TEST(Windows, BosOfEachWindowIsOneOfItsTokensAndItsFirstTextTokenIsPredicted) {
  const auto windows = plan_windows(9, {.context = 5, .bos = BosPolicy::kWindow});
  ASSERT_EQ(windows.size(), 2u);
  const std::vector<int64_t> stream = {10, 11, 12, 13, 14, 15, 16, 17, 18};
  EXPECT_EQ(window_tokens(windows[1], stream, 1), (std::vector<int64_t>{1, 14, 15, 16, 17}));
  EXPECT_EQ(windows[1].predictions(), 4);
}

TEST(Windows, LlamaCppScoresTheSecondHalfAndReplacesTheFirstToken) {
  const auto windows = plan_windows(
      17, {.context = 8, .convention = Convention::kLlamaCpp, .bos = BosPolicy::kWindow});
  ASSERT_EQ(windows.size(), 2u);
  // Its tool scores n - n/2 - 1 logits a window.
  EXPECT_EQ(windows[0].predictions(), 3);
  EXPECT_EQ(windows[0].first_target, 5);
  const std::vector<int64_t> stream(17, 7);
  EXPECT_EQ(window_tokens(windows[1], stream, 1), (std::vector<int64_t>{1, 7, 7, 7, 7, 7, 7, 7}));
}

TEST(Windows, StridePredictsEachTokenButTheFirstOnce) {
  for (const int64_t total : {5, 8, 9, 23, 24, 40}) {
    for (const BosPolicy bos : {BosPolicy::kNone, BosPolicy::kWindow}) {
      SCOPED_TRACE(total);
      const bool has_bos = bos == BosPolicy::kWindow;
      std::vector<int> predicted(static_cast<size_t>(total), 0);
      for (const Window& window : plan_windows(
               total, {.context = 8, .convention = Convention::kStride, .bos = bos, .stride = 3})) {
        EXPECT_LE(window.length(), 8);
        for (int64_t i = window.first_target; i < window.length(); ++i) {
          ++predicted[static_cast<size_t>(window.begin + i - (has_bos ? 1 : 0))];
        }
      }
      EXPECT_EQ(predicted[0], has_bos ? 1 : 0);
      for (int64_t i = 1; i < total; ++i) EXPECT_EQ(predicted[static_cast<size_t>(i)], 1) << i;
    }
  }
}

TEST(Windows, MaximumKeepsTheFirst) {
  EXPECT_EQ(plan_windows(100, {.context = 5, .maximum_windows = 3}).size(), 3u);
}

}  // namespace
}  // namespace laconic
