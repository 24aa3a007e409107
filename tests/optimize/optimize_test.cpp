#include <ATen/ATen.h>

#include "laconic/optimize/adam.h"
#include "laconic/optimize/cayley.h"
#include "laconic/optimize/schedule.h"
#include "laconic/optimize/sign_sgd.h"
#include "tests/testing/testing.h"

namespace laconic::optimize {
namespace {

using laconic::testing::expect_error;

TEST(SignSgd, MovesEachNumberByTheRate) {
  at::Tensor parameter = at::zeros({4});
  SignSgd().step(parameter, at::tensor({3.0f, -0.001f, 0.0f, 1e9f}), 0.5);
  EXPECT_TRUE(at::equal(parameter, at::tensor({-0.5f, 0.5f, 0.0f, -0.5f})));
}

TEST(SignSgd, WithALinearRateReachesTheMinimumOfASquare) {
  const at::Tensor target = at::linspace(-0.4, 0.4, 9);
  at::Tensor parameter = at::zeros({9});
  SignSgd optimizer;
  const LinearDecay rate{.steps = 200, .start = 1.0 / 200};
  for (int64_t step = 0; step < 200; ++step)
    optimizer.step(parameter, parameter - target, rate.at(step));
  EXPECT_LT((parameter - target).abs().max().item<double>(), 0.01);
}

TEST(SignSgd, MomentumRemembersTheDirection) {
  at::Tensor parameter = at::zeros({1});
  SignSgd optimizer({.momentum = 0.9});
  optimizer.step(parameter, at::full({1}, 10.0), 1);
  optimizer.step(parameter, at::full({1}, -1.0), 1);  // 0.9 * 10 - 1 > 0
  EXPECT_EQ(parameter.item<float>(), -2);
}

TEST(SignSgd, WrongArgumentsAreNamed) {
  expect_error<c10::ValueError>([] { SignSgd({.momentum = 1}); }, {"[sign_sgd] momentum", "1"});
  expect_error<c10::ValueError>([] { SignSgd({.weight_decay = -1}); }, {"weight_decay", "-1"});
  at::Tensor parameter = at::zeros({3});
  expect_error<c10::ValueError>([&] { SignSgd().step(parameter, at::zeros({2}), 1); },
                                {"gradient", "[3]", "[2]"});
}

/// The orthogonal matrix that is nearest to a given one, by descent.
double distance_after(int64_t steps, const at::Tensor& target, at::Tensor parameter) {
  CayleySgd optimizer({.momentum = 0.5});
  for (int64_t step = 0; step < steps; ++step) optimizer.step(parameter, parameter - target, 0.3);
  const at::Tensor product = parameter.mm(parameter.t());
  EXPECT_LT((product - at::eye(parameter.size(0))).abs().max().item<double>(), 1e-3);
  return (parameter - target).norm().item<double>();
}

TEST(CayleySgd, StaysOrthogonalAndFindsTheRotation) {
  at::manual_seed(3);
  const at::Tensor skew = at::randn({8, 8}) * 0.2;
  const at::Tensor rotation = at::linalg_matrix_exp(skew - skew.t());
  EXPECT_GT((rotation - at::eye(8)).norm().item<double>(), 0.5);
  EXPECT_LT(distance_after(200, rotation, at::eye(8)), 0.02);
}

TEST(CayleySgd, WorksOnFewerRowsThanColumns) {
  at::manual_seed(4);
  const at::Tensor target = std::get<0>(at::linalg_qr(at::randn({8, 3}))).t().contiguous();
  const at::Tensor start = at::eye(8).narrow(0, 0, 3).clone();
  const double before = (start - target).norm().item<double>();
  EXPECT_LT(distance_after(300, target, start), 0.5 * before);
}

TEST(CayleySgd, WrongArgumentsAreNamed) {
  at::Tensor tall = at::zeros({4, 3});
  expect_error<c10::ValueError>([&] { CayleySgd().step(tall, tall, 1); }, {"[cayley]", "[4, 3]"});
  at::Tensor square = at::eye(3);
  expect_error<c10::ValueError>([&] { CayleySgd().step(square, at::eye(2), 1); },
                                {"gradient", "[2, 2]"});
  expect_error<c10::ValueError>([] { CayleySgd({.inner_iterations = 0}); }, {"inner_iterations"});
  expect_error<c10::ValueError>([] { CayleySgd({.momentum = -1}); }, {"momentum", "-1"});
}

TEST(Adam, FollowsThePublishedRecurrence) {
  at::manual_seed(6);
  at::Tensor parameter = at::randn({5}), expected = parameter.to(at::kDouble).clone();
  at::Tensor mean = at::zeros({5}, at::kDouble), square = at::zeros({5}, at::kDouble);
  Adam adam({.first = 0.8, .second = 0.95, .epsilon = 1e-6});
  for (int step = 1; step <= 4; ++step) {
    const at::Tensor gradient = at::randn({5}), g = gradient.to(at::kDouble);
    adam.step(parameter, gradient, 0.1);
    mean = 0.8 * mean + 0.2 * g;
    square = 0.95 * square + 0.05 * g * g;
    const auto size = (square / (1 - std::pow(0.95, step))).sqrt() + 1e-6;
    expected = expected - 0.1 * mean / (1 - std::pow(0.8, step)) / size;
  }
  EXPECT_TRUE(at::allclose(parameter.to(at::kDouble), expected, 1e-5, 1e-6));
}

TEST(Adam, WrongArgumentsAreNamed) {
  at::Tensor parameter = at::zeros({4});
  expect_error<c10::ValueError>([&] { Adam().step(parameter, at::zeros({3}), 1); },
                                {"[adam]", "[4]", "[3]"});
  expect_error<c10::ValueError>([] { Adam({.first = 1}); }, {"first", "1"});
  expect_error<c10::ValueError>([] { Adam({.epsilon = 0}); }, {"epsilon"});
}

TEST(LinearDecay, StaysThenFallsThenStays) {
  const LinearDecay decay{.steps = 100, .warmup = 0.2, .start = 20, .end = 2};
  EXPECT_EQ(decay.at(0), 20);
  EXPECT_EQ(decay.at(20), 20);
  EXPECT_DOUBLE_EQ(decay.at(60), 11);
  EXPECT_EQ(decay.at(100), 2);
  EXPECT_EQ(decay.at(1000), 2);
}

}  // namespace
}  // namespace laconic::optimize
