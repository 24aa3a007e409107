#include "laconic/kernel/reverse_cholesky.h"

#include <ATen/ATen.h>

#include "laconic/kernel/panels.h"
#include "tests/testing/testing.h"

namespace laconic::kernel {
namespace {

TEST(ReverseCholesky, ItsFeedbackIsTheUpperFactorOverItsDiagonal) {
  at::manual_seed(2);
  for (const int64_t size : {1, 64, 150}) {
    const at::Tensor x = at::randn({2 * size, size}), hessian = x.t().matmul(x) / (2 * size);
    const at::Tensor order = at::arange(size).flip(0), ordered = hessian.flip({0, 1});
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      const auto factor =
          reverse_cholesky(hessian.contiguous(), hessian.diagonal().to(at::kDouble).contiguous(),
                           order.contiguous(), dtype);
      ASSERT_TRUE(factor.holds());
      const at::Tensor unit = feedback_columns(factor, 0, size) + at::eye(size);
      // H = R R^T = (unit D) (unit D)^T: unit^-1 H unit^-T is diagonal.
      const at::Tensor inverse = at::inverse(unit.to(at::kDouble));
      const at::Tensor diagonal = inverse.matmul(ordered.to(at::kDouble)).matmul(inverse.t());
      EXPECT_LT((diagonal - diagonal.diagonal().diag()).abs().max().item<double>(), 1e-4);
      EXPECT_TRUE(at::equal(unit, unit.triu()));
    }
  }
}

TEST(ReverseCholesky, SaysThatAMatrixIsNotPositiveDefinite) {
  const at::Tensor ones = at::ones({70, 70}), order = at::arange(70);
  EXPECT_FALSE(reverse_cholesky(ones, at::ones({70}, at::kDouble), order, at::kDouble).holds());
  EXPECT_TRUE(reverse_cholesky(ones, at::full({70}, 1.1, at::kDouble), order, at::kDouble).holds());
}

TEST(Panels, ComeBackAsTheyWere) {
  const at::Tensor matrix = at::arange(70 * 5, at::kFloat).view({70, 5}),
                   order = at::tensor({3, 0, 4, 1, 2}, at::kLong);
  const at::Tensor panels = to_panels(matrix, order, 7);
  EXPECT_EQ(panels.sizes(), at::IntArrayRef({2, 5, 64}));
  EXPECT_EQ(panels[1][0][5].item<float>(), matrix[69][3].item<float>());
  EXPECT_EQ(panels[1][4][6].item<float>(), 7);
  EXPECT_TRUE(at::equal(from_panels(panels, 70, order), matrix));
}

}  // namespace
}  // namespace laconic::kernel
