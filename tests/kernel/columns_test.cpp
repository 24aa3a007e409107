// Error feedback column by column: the CPU's loops and those of CUDA against LibTorch's operations.
#include <ATen/ATen.h>

#include "laconic/kernel/composed_columns.h"
#include "laconic/kernel/gram.h"
#include "laconic/kernel/panel_matrix.h"
#include "laconic/kernel/panels.h"
#include "tests/testing/testing.h"

namespace laconic::kernel {
namespace {

constexpr int64_t kRowCount = 70, kColumns = 150, kGroup = 50;

/// A layer and the feedback of its columns.
struct Layer {
  at::Tensor weight, hessian, scale, zero_point;
};

Layer make_layer() {
  at::manual_seed(5);
  const at::Tensor x = at::randn({300, kColumns}).matmul(at::randn({kColumns, kColumns}) * 0.1) +
                       at::randn({300, kColumns});
  return {at::randn({kRowCount, kColumns}), x.t().matmul(x) / 300,
          at::rand({kRowCount, kColumns / kGroup}) * 0.2 + 0.1,
          at::randint(0, 3, {kRowCount, kColumns / kGroup}).to(at::kFloat)};
}

Staircase uneven_levels(at::Device device) {
  const at::Tensor levels = at::tensor({-6.0F, -3.0F, -1.0F, 0.0F, 1.0F, 3.0F, 6.0F});
  return {levels.to(device), ((levels.slice(0, 0, 6) + levels.slice(0, 1)) / 2).to(device),
          at::tensor({15, 13, 10, 0, 2, 5, 7}, at::kInt).to(device)};
}

enum class Steps { kWhole, kLevels, kChosen };

/// Those of uneven_levels and twice as far apart, one for every other scale.
void choose_levels(RoundingColumns& state, at::Device device) {
  const Staircase one = uneven_levels(device);
  state.staircase = {at::stack({one.levels, one.levels * 2}),
                     at::stack({one.thresholds, one.thresholds * 2}),
                     at::stack({one.codes, one.codes.flip(0)})};
  state.choice = at::arange(state.scale.numel(), at::TensorOptions(at::kInt).device(device))
                     .view_as(state.scale) %
                 2;
}

RoundingColumns make_state(const Layer& layer, Steps steps, at::Device device) {
  RoundingColumns state;
  state.weight = to_panels(layer.weight.to(device));
  state.codes = at::zeros_like(state.weight, at::kByte);
  state.scale = to_panels(layer.scale.to(device), {}, 1.0);
  if (steps == Steps::kWhole) state.zero_point = to_panels(layer.zero_point.to(device));
  state.group =
      at::arange(kColumns, at::TensorOptions(at::kLong).device(device)).floor_divide(kGroup);
  state.q_min = -4, state.q_max = 3;
  if (steps == Steps::kLevels) state.staircase = uneven_levels(device);
  if (steps == Steps::kChosen) choose_levels(state, device);
  return state;
}

/// Rounds all columns with the feedback F, by `round`.
template <typename Current, typename Round>
void round_all(RoundingColumns& state, const at::Tensor& F, Current current, Round round) {
  for (int64_t begin = 0; begin < kColumns; begin += 64) {
    const int64_t end = std::min<int64_t>(begin + 64, kColumns);
    const at::Tensor part = F.narrow(0, 0, end).narrow(1, begin, end - begin).contiguous();
    at::Tensor values = current(state, part, begin, end);
    round(state, part, values, begin, end);
  }
}

/// The same codes but for a few that stood on a threshold, as sums run in other orders.
void expect_alike(const RoundingColumns& a, const RoundingColumns& b) {
  const at::Tensor differs = (a.codes.cpu() != b.codes.cpu()).to(at::kFloat);
  EXPECT_LT(differs.mean().item<double>(), 2e-3);
  EXPECT_GT(a.codes.cpu().to(at::kFloat).std().item<double>(), 0.5);
}

at::Tensor feedback_of(const Layer& layer) {
  const at::Tensor diagonal = layer.hessian.diagonal().to(at::kDouble).contiguous();
  return feedback_columns(
      reverse_cholesky(layer.hessian, diagonal, at::arange(kColumns), at::kDouble), 0, kColumns);
}

TEST(Columns, LoopsOfTheCpuDoWhatTheOperationsSay) {
  const Layer layer = make_layer();
  const at::Tensor F = feedback_of(layer);
  for (const Steps steps : {Steps::kWhole, Steps::kLevels, Steps::kChosen}) {
    RoundingColumns fast = make_state(layer, steps, at::kCPU),
                    plain = make_state(layer, steps, at::kCPU);
    round_all(fast, F, current_columns, round_columns);
    round_all(plain, F, composed::current_columns, composed::round_columns);
    expect_alike(fast, plain);
  }
}

TEST(Columns, LoopsOfCudaDoWhatTheOperationsSay) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA in this build or machine";
  const Layer layer = make_layer();
  const at::Tensor F = feedback_of(layer);
  for (const Steps steps : {Steps::kWhole, Steps::kLevels, Steps::kChosen}) {
    RoundingColumns fast = make_state(layer, steps, at::kCUDA),
                    plain = make_state(layer, steps, at::kCPU);
    round_all(fast, F.cuda(), current_columns, round_columns);
    round_all(plain, F, composed::current_columns, composed::round_columns);
    expect_alike(fast, plain);
  }
}

TEST(Columns, FactorsOfTheOperationsAreThoseOfTheLoops) {
  const Layer layer = make_layer();
  const at::Tensor diagonal = layer.hessian.diagonal().to(at::kDouble) + 0.01;
  const at::Tensor order = at::arange(kColumns).flip(0).contiguous();
  const auto fast = reverse_cholesky(layer.hessian, diagonal, order, at::kDouble);
  const auto plain = composed::reverse_cholesky(layer.hessian, diagonal, order, at::kDouble);
  ASSERT_TRUE(fast.holds() && plain.holds());
  const auto near = [](const at::Tensor& a, const at::Tensor& b) {
    return at::allclose(a, b, 1e-4, 1e-5);
  };
  EXPECT_TRUE(near(composed::feedback_columns(plain, 40, 100), feedback_columns(fast, 40, 100)));
  EXPECT_TRUE(at::allclose(composed::squared_pivots(plain), squared_pivots(fast), 1e-4));
  EXPECT_FALSE(composed::reverse_cholesky(at::ones({9, 9}), at::ones({9}, at::kDouble) * 0.5,
                                          at::arange(9), at::kFloat)
                   .holds());
}

TEST(Columns, ProductsOfPanelsAreThoseOfTheLoops) {
  const Layer layer = make_layer();
  const at::Tensor panels = to_panels(layer.weight), F = feedback_of(layer);
  EXPECT_TRUE(at::allclose(composed::multiply_panels(panels, F),
                           multiply_panels(panels, F, /*upper=*/true), 1e-4, 1e-4));
  at::Tensor fast = panels.clone(), plain = panels.clone();
  solve_panels(fast, F);
  composed::solve_panels(plain, F);
  EXPECT_TRUE(at::allclose(plain, fast, 1e-3, 1e-3));
  const RoundingColumns state = make_state(layer, Steps::kWhole, at::kCPU);
  const at::Tensor part = F.narrow(0, 0, 50).narrow(1, 20, 30).contiguous(),
                   current = current_columns(state, part, 20, 50);
  EXPECT_TRUE(at::allclose(composed::current_columns(state, part, 20, 50), current, 1e-4, 1e-4));
  EXPECT_TRUE(at::allclose(composed::remaining_columns(state.weight, part, current, 20, 50),
                           remaining_columns(state, part, current, 20, 50), 1e-3, 1e-3));
}

TEST(Gram, OfAnotherDeviceIsThatOfTheCpu) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA in this build or machine";
  at::manual_seed(6);
  const at::Tensor x = at::randn({512, 3000});
  GramSum here(3000), there(3000, at::kCUDA);
  here.add(x), there.add(x.cuda());
  EXPECT_TRUE(at::allclose(there.mean().cpu(), here.mean(), 1e-2, 1e-3));
  EXPECT_TRUE(at::equal(there.mean(), there.mean().t()));
}

}  // namespace
}  // namespace laconic::kernel
