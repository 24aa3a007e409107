#include "laconic/kernel/hadamard.h"

#include <ATen/ATen.h>

#include "tests/testing/testing.h"

namespace laconic::kernel {
namespace {

using testing::expect_error;

TEST(Hadamard, EveryBaseIsAHadamardMatrix) {
  for (const int64_t n : {12, 20, 28, 36, 40, 52, 60, 108, 140, 152, 156, 172}) {
    SCOPED_TRACE(n);
    const auto h = hadamard_base(n).to(at::kDouble);
    EXPECT_TRUE(h.abs().equal(at::ones({n, n}, at::kDouble)));
    EXPECT_TRUE(at::matmul(h, h.t()).equal(at::eye(n, at::kDouble) * n));
  }
}

TEST(Hadamard, FastEqualsTheMatrixForEveryOrder) {
  at::manual_seed(1);
  for (const int64_t n : {1, 2, 4, 8, 16, 64, 96, 112, 144, 320, 416, 688, 1024, 8192}) {
    SCOPED_TRACE(n);
    const auto x = at::randn({2, 3, 2 * n});
    const auto expected = at::matmul(x.unflatten(-1, {2, n}), hadamard_matrix(n).t()).flatten(-2);
    EXPECT_TRUE(at::allclose(hadamard(x, n), expected, 1e-4, 1e-5));
    const auto wide = hadamard(x.to(at::kDouble), n);
    EXPECT_TRUE(at::allclose(wide.to(at::kFloat), expected, 1e-4, 1e-5));
  }
}

TEST(Hadamard, GradientIsTheTransposedMap) {
  const auto x = at::randn({3, 24}).set_requires_grad(true);
  const auto weight = at::randn({3, 24});
  (hadamard(x, 24) * weight).sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), at::matmul(weight, hadamard_matrix(24)), 1e-4, 1e-5));
}

TEST(Hadamard, TakesValuesThatAreNoPlainMemory) {
  const auto x = at::randn({16, 5}).t();
  EXPECT_TRUE(at::allclose(hadamard(x, 16), hadamard(x.contiguous(), 16)));
  EXPECT_EQ(hadamard(at::empty({0, 8}), 8).sizes(), (std::vector<int64_t>{0, 8}));
}

TEST(Hadamard, RefusesOrdersThatItDoesNotReach) {
  expect_error<c10::ValueError>([] { hadamard(at::ones({2, 6}), 6); }, {"order 6", "block_size"});
  expect_error<c10::ValueError>([] { hadamard(at::ones({2, 6}), 4); }, {"4 divides", "[2, 6]"});
  expect_error<c10::TypeError>([] { hadamard(at::ones({8}, at::kLong), 8); }, {"floating"});
  expect_error<c10::ValueError>([] { hadamard_base(16); }, {"16"});
  EXPECT_FALSE(hadamard_order(0).has_value());
  EXPECT_EQ(hadamard_order(1536)->base, 12);
}

}  // namespace
}  // namespace laconic::kernel
