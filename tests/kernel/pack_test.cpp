#include "laconic/kernel/pack.h"

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

TEST(PackRows, ComesBackForEveryWidthAndLength) {
  for (int64_t bits = 1; bits <= 16; ++bits) {
    for (const int64_t columns : {0, 1, 3, 7, 8, 33, 129}) {
      const auto codes = at::randint(0, int64_t{1} << bits, {5, columns}, at::kInt);
      const auto packed = pack_rows(codes, bits);
      EXPECT_EQ(packed.size(1), (columns * bits + 7) / 8);
      EXPECT_TRUE(at::equal(unpack_rows(packed, bits, columns), codes))
          << bits << " bits, " << columns << " columns";
    }
  }
}

TEST(PackRows, ASignedCodeDoesNotTouchItsNeighbour) {
  const auto codes = at::tensor({-1, 3, -8, 7}, at::kInt).reshape({1, 4});
  const auto packed = pack_rows(codes, 4);
  EXPECT_EQ(packed[0][0].item<int>(), 0x3F);
  EXPECT_EQ(packed[0][1].item<int>(), 0x78);
}

TEST(PackRows, WordsHoldTheSameStream) {
  const auto codes = at::randint(0, 8, {2, 768}, at::kInt);
  const auto words = pack_rows_to_words(codes, 3);
  EXPECT_EQ(words.sizes(), at::IntArrayRef({2, 72}));
  EXPECT_TRUE(at::equal(words.view(at::kByte), pack_rows(codes, 3)));
}

TEST(PackRows, RefusesOtherShapes) {
  expect_error<c10::ValueError>([] { pack_rows(at::zeros({3}, at::kInt), 4); },
                                {"[pack]", "[rows, columns]"});
  expect_error<c10::ValueError>(
      [] {
        pack_rows(at::zeros({3, 3}, at::kInt), 17);
      },
      {"1 to 16", "17"});
  expect_error<c10::ValueError>(
      [] {
        unpack_rows(at::zeros({3, 3}, at::kByte), 4, 7);
      },
      {"[rows, 4]"});
}

}  // namespace
}  // namespace laconic
