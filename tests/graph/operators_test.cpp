#include "laconic/graph/operators.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/arange.h>

#include <cmath>

#include "tests/testing/testing.h"

namespace laconic::graph {
namespace {

using laconic::testing::expect_error;

// Sums of float32 products in another order.
constexpr double kRounding = 1e-5;

at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           double scale, int64_t window) {
  const int64_t length = q.size(2), share = q.size(1) / k.size(1);
  auto result = at::zeros({q.size(0), q.size(1), length, v.size(3)});
  for (int64_t head = 0; head < q.size(1); ++head)
    for (int64_t i = 0; i < length; ++i) {
      const int64_t first = std::max<int64_t>(0, i - window + 1), count = i - first + 1;
      const auto keys = k.select(1, head / share).narrow(1, first, count);
      const auto values = v.select(1, head / share).narrow(1, first, count);
      const auto score = at::einsum("bd,bkd->bk", {q.select(1, head).select(1, i), keys}) * scale;
      result.select(1, head).select(1, i) =
          at::einsum("bk,bkd->bd", {at::softmax(score, -1), values});
    }
  return result;
}

TEST(Attention, EqualsThePlainFormWithGroupsAndWindows) {
  const auto q = at::randn({2, 6, 9, 4}), k = at::randn({2, 2, 9, 4}), v = at::randn({2, 2, 9, 5});
  for (const int64_t window : {1, 3, 8, 9, 20})
    EXPECT_TRUE(at::allclose(attention(q, k, v, 0.7, window), plain_attention(q, k, v, 0.7, window),
                             kRounding, kRounding))
        << window;
  EXPECT_TRUE(at::allclose(attention(q, k, v, 0.7), plain_attention(q, k, v, 0.7, 9), kRounding,
                           kRounding));
}

TEST(Attention, OfTheLastQueriesIsTheEndOfTheWhole) {
  const auto q = at::randn({2, 4, 9, 4}), k = at::randn({2, 2, 9, 4}), v = at::randn({2, 2, 9, 5});
  for (const int64_t window : {2, 4, 20})
    for (const int64_t length : {1, 3, 9}) {
      const auto whole = attention(q, k, v, 0.7, window);
      const auto last = attention(q.narrow(2, 9 - length, length), k, v, 0.7, window);
      EXPECT_TRUE(at::allclose(last, whole.narrow(2, 9 - length, length), kRounding, kRounding));
    }
}

TEST(Attention, CapsItsScores) {
  const auto q = at::randn({1, 2, 5, 4}), k = at::randn({1, 2, 5, 4}),
             v = at::eye(5).expand({1, 2, 5, 5});
  const auto share = attention(q, k, v, 3.0, std::nullopt, 1.5);
  const auto score = at::einsum("bhqd,bhkd->bhqk", {q, k}) * 3.0;
  const auto first = at::softmax((score / 1.5).tanh().mul(1.5)[0][1][4], -1);
  EXPECT_TRUE(at::allclose(share[0][1][4], first, kRounding, kRounding));
  // A large cap is none.
  EXPECT_TRUE(
      at::allclose(attention(q, k, v, 3.0, 2, 1e6), attention(q, k, v, 3.0, 2), 1e-4, 1e-4));
}

TEST(Rope, OfLaterPositionsIsTheEndOfTheWhole) {
  register_operators();
  const auto x = at::randn({1, 2, 9, 4});
  const std::vector<double> frequencies = {1.0, 0.3};
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("laconic::rope", "");
  torch::jit::Stack stack{x.narrow(2, 6, 3), frequencies, 1.0, false, int64_t{6}};
  op.callBoxed(&stack);
  EXPECT_TRUE(at::equal(stack[0].toTensor(), rope(x, frequencies).narrow(2, 6, 3)));
}

TEST(Experts, RunOnTheirRowsAndAddUpByShare) {
  const auto x = at::randn({2, 5, 4}), weight = at::randn({3, 4});
  const auto shares = route(x, weight, 2, true);
  EXPECT_TRUE(at::allclose(shares.sum(-1), at::ones({2, 5})));
  EXPECT_TRUE(at::equal(shares.gt(0).sum(-1), at::full({2, 5}, 2, at::kLong)));
  auto sum = at::zeros_like(x);
  for (int64_t expert = 0; expert < 3; ++expert)
    sum = add_expert(sum, expert_rows(x, shares, expert) * static_cast<double>(expert + 1), shares,
                     expert);
  const auto factor = (shares * at::tensor({1.0f, 2.0f, 3.0f})).sum(-1, true);
  EXPECT_TRUE(at::allclose(sum, x * factor, kRounding, kRounding));
}

TEST(Experts, WithoutTokensAreEmpty) {
  const auto x = at::randn({1, 3, 4}), shares = at::zeros({1, 3, 2});
  const auto rows = expert_rows(x, shares, 1);
  EXPECT_EQ(rows.sizes(), at::IntArrayRef({0, 4}));
  EXPECT_TRUE(at::equal(add_expert(x, rows, shares, 1), x));
}

TEST(ExpertFault, NumbersThatAreNotThereAreRefused) {
  const auto x = at::randn({1, 3, 4}), shares = at::ones({1, 3, 2});
  expect_error<c10::ValueError>(
      [&] {
        route(x, at::ones({2, 4}), 3, false);
      },
      {"[route]", "1 to 2"});
  expect_error<c10::ValueError>([&] { expert_rows(x, shares, 2); }, {"[expert]", "0 to 1"});
  expect_error<c10::ValueError>(
      [&] {
        add_expert(x, at::ones({2, 4}), shares, 0);
      },
      {"expected 3 rows"});
}

TEST(AttentionFault, HeadsThatDoNotShareEvenlyAreRefused) {
  const auto q = at::randn({1, 3, 2, 4}), k = at::randn({1, 2, 2, 4});
  expect_error<c10::ValueError>([&] { attention(q, k, k, 1); }, {"[attention]", "3 and 2"});
  expect_error<c10::ValueError>([&] { attention(k, k, k, 1, 0); }, {"window", "at least 1"});
}

TEST(Rope, TurnsEachPairByItsAngle) {
  const auto x = at::randn({1, 1, 5, 6});
  const std::vector<double> frequencies = {1.0, 0.1};
  const auto y = rope(x, frequencies, 2.0);
  for (int64_t position = 0; position < 5; ++position) {
    const auto in = x[0][0][position], out = y[0][0][position];
    for (int64_t i = 0; i < 2; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      const double a = in[i].item<double>(), b = in[i + 2].item<double>();
      EXPECT_NEAR(out[i].item<double>(), 2 * (a * std::cos(angle) - b * std::sin(angle)), 1e-5);
      EXPECT_NEAR(out[i + 2].item<double>(), 2 * (b * std::cos(angle) + a * std::sin(angle)), 1e-5);
    }
    EXPECT_TRUE(at::equal(out.narrow(0, 4, 2), in.narrow(0, 4, 2)));
  }
}

TEST(Rope, InterleavedIsTheSameWithNeighboursAsPairs) {
  const auto x = at::randn({1, 2, 5, 8});
  const std::vector<double> frequencies = {1.0, 0.5, 0.25};
  const auto order = at::tensor({0, 2, 4, 1, 3, 5, 6, 7}, at::kLong);
  EXPECT_TRUE(at::allclose(rope(x, frequencies, 1.0, true).index_select(-1, order),
                           rope(x.index_select(-1, order), frequencies)));
}

TEST(Rope, GradientTurnsBack) {
  const auto x = at::randn({1, 1, 4, 4}).set_requires_grad(true);
  rope(x, {1.0, 0.3}).square().sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), 2 * x.detach(), 1e-4, 1e-5));  // turning keeps the norm
}

TEST(RopeByLength, ChangesItsFrequenciesBeyondTheOriginalLength) {
  const auto x = at::randn({1, 1, 9, 4});
  const std::vector<double> near = {1.0, 0.1}, far = {0.5, 0.05};
  const auto at_length = [&](int64_t n) {
    return rope_by_length(x.narrow(2, 0, n), near, far, 8, 1);
  };
  EXPECT_TRUE(at::equal(at_length(8), rope(x.narrow(2, 0, 8), near)));
  EXPECT_TRUE(at::equal(at_length(9), rope(x, far)));
}

TEST(RopeDynamic, GrowsItsBaseBeyondTheOriginalLength) {
  const auto x = at::randn({1, 1, 12, 4});
  const DynamicRope options{.base = 100, .dim = 4, .factor = 2, .original_length = 8};
  const auto plain = [&](double base) { return std::vector<double>{1.0, std::pow(base, -0.5)}; };
  EXPECT_TRUE(
      at::allclose(rope_dynamic(x.narrow(2, 0, 8), options), rope(x.narrow(2, 0, 8), plain(100))));
  const double grown = 100 * std::pow(2.0 * 12 / 8 - 1, 4.0 / 2);
  EXPECT_TRUE(at::allclose(rope_dynamic(x, options), rope(x, plain(grown))));
}

TEST(RopeFault, MoreFrequenciesThanFeaturesAreRefused) {
  expect_error<c10::ValueError>(
      [] {
        rope(at::ones({1, 1, 2, 2}), {1.0, 1.0});
      },
      {"[rope]", "at least 4"});
  expect_error<c10::ValueError>(
      [] {
        rope_dynamic(at::ones({1, 1, 2, 4}), {.base = 10, .dim = 3, .factor = 2});
      },
      {"[rope_dynamic]", "even"});
}

TEST(Positions, BeginAtTheOffset) {
  EXPECT_TRUE(at::equal(positions(at::zeros({2, 4}, at::kLong), 2), at::arange(2, 6)));
}

}  // namespace
}  // namespace laconic::graph
