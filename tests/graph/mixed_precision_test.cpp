#include "laconic/graph/mixed_precision.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include "tests/testing/testing.h"

namespace laconic::graph {
namespace {

TEST(MixedPrecision, ProductsAreInBfloat16WhileItLivesAndGradientsInTheTypeOfTheWeights) {
  at::manual_seed(1);
  const auto x = at::randn({8, 32}), plain = at::randn({16, 32});
  const auto weight = plain.clone().set_requires_grad(true);
  at::Tensor loss;
  {
    const MixedPrecision mixed(true, at::kCPU);
    const auto y = at::linear(x, weight);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16);
    EXPECT_EQ((y + x.narrow(1, 0, 16)).scalar_type(), at::kFloat);
    loss = y.to(at::kFloat).square().mean();
  }
  EXPECT_EQ(at::linear(x, weight).scalar_type(), at::kFloat);
  loss.backward();
  const auto exact = plain.clone().set_requires_grad(true);
  at::linear(x, exact).square().mean().backward();
  EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
  // bfloat16 has 8 bits: 2^-8 for each of y, its gradient and x.
  EXPECT_LT(((weight.grad() - exact.grad()).norm() / exact.grad().norm()).item<double>(), 0.012);
  EXPECT_FALSE(at::equal(weight.grad(), exact.grad()));
}

TEST(MixedPrecision, LeavesTheThreadAsItFoundIt) {
  using at::autocast::get_autocast_dtype, at::autocast::is_autocast_enabled;
  at::autocast::set_autocast_dtype(at::kCPU, at::kHalf);
  {
    const MixedPrecision outer(true, at::kCPU);
    { const MixedPrecision inner(true, at::kCPU); }
    EXPECT_TRUE(is_autocast_enabled(at::kCPU));
    EXPECT_EQ(get_autocast_dtype(at::kCPU), at::kBFloat16);
  }
  EXPECT_FALSE(is_autocast_enabled(at::kCPU));
  EXPECT_EQ(get_autocast_dtype(at::kCPU), at::kHalf);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const MixedPrecision none(false, at::kCPU);
  EXPECT_FALSE(is_autocast_enabled(at::kCPU));
}

TEST(MixedPrecision, IsFastOnCudaFromCapability8On) {
  if (!at::hasCUDA()) {
    EXPECT_FALSE(MixedPrecision::is_fast(at::kCUDA));
    return;
  }
  const auto x = at::zeros({1}, at::kCUDA);  // makes the device the current one
  // What this is tested on: A100 and later.
  EXPECT_TRUE(MixedPrecision::is_fast(at::kCUDA));
}

}  // namespace
}  // namespace laconic::graph
