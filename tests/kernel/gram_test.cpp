#include "laconic/kernel/gram.h"

#include <ATen/ATen.h>

#include "tests/testing/testing.h"

namespace laconic::kernel {
namespace {

TEST(GramSum, IsTheMeanOfOuterProducts) {
  at::manual_seed(1);
  for (const int64_t columns : {1, 63, 64, 200}) {
    GramSum sum(columns);
    std::vector<at::Tensor> parts;
    for (const int64_t rows : {1, 513, 0, 700}) {
      parts.push_back(at::randn({columns, rows}).t());  // not contiguous
      sum.add(parts.back());
    }
    const at::Tensor x = at::cat(parts).to(at::kDouble);
    const at::Tensor mean = sum.mean();
    EXPECT_EQ(sum.rows(), 1214);
    EXPECT_TRUE(at::equal(mean, mean.t()));
    // Sums of some thousand products of float32 numbers near one.
    EXPECT_LT((mean - x.t().matmul(x) / 1214).abs().max().item<double>(), 1e-5);
  }
}

TEST(GramSum, OfNoRowsIsZero) { EXPECT_TRUE(at::equal(GramSum(3).mean(), at::zeros({3, 3}))); }

TEST(GramSum, SpreadsWhatIsNotANumber) {
  GramSum sum(70);
  at::Tensor x = at::ones({4, 70});
  x[2][66] = NAN;
  sum.add(x);
  EXPECT_TRUE(at::isnan(sum.mean()[66][66]).item<bool>());
  EXPECT_EQ(sum.mean()[0][0].item<float>(), 1.0f);
}

}  // namespace
}  // namespace laconic::kernel
