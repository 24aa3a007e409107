#include "laconic/transform/magr/magr.h"

#include "laconic/transform/magr/magnitude.h"
#include "small_models.h"

namespace laconic {
namespace {

using testing::context_of;
using testing::difference;
using testing::logits_of;
using testing::small_configs;
using testing::small_model;

TEST(Magr, ProjectionIsTheNearestPointOfTheBall) {
  at::manual_seed(1);
  const auto x = at::randn({50, 12}, at::kDouble);
  const auto y = transform::l1_ball_projection(x, 2);
  EXPECT_LT((y.abs().sum(1) - 2).abs().max().item<double>(), 1e-12);
  // No other point of the ball is nearer: for each of many, the angle at y is not acute.
  const auto other = at::randn({40, 1, 12}, at::kDouble);
  const auto inside = other * (2 / other.abs().sum(-1, true));
  EXPECT_LE(((x - y) * (inside - y)).sum(-1).max().item<double>(), 1e-9);
  const auto small = x * 0.01;
  EXPECT_TRUE(transform::l1_ball_projection(small, 2).equal(small));
}

TEST(Magr, ProjectionBySortingIsTheSamePoint) {
  at::manual_seed(4);
  auto x = at::randn({60, 128}, at::kDouble);
  x.slice(0, 0, 10) = x.slice(0, 0, 10).round();  // elements that are alike
  x.slice(0, 10, 20).mul_(1e-3);                  // inside of the ball
  x[20].zero_();
  const auto expected = transform::l1_ball_projection(x, 2);
  EXPECT_LT((transform::l1_ball_projection_by_sorting(x, 2) - expected).abs().max().item<double>(),
            1e-12);
}

TEST(Magr, PowerIterationFindsTheLargestEigenvalue) {
  const auto d = at::diag(at::tensor({1.0, 5.0, 2.0}, at::kDouble));
  EXPECT_NEAR(transform::power_iteration(d, at::ones({3}, at::kDouble), 60).item<double>(), 5,
              1e-9);
  const auto zero = at::zeros({3, 3});
  EXPECT_EQ(transform::power_iteration(zero, at::ones({3}), 5).item<double>(), 0);
}

TEST(Magr, MagnitudesFallWhereInputsSayNothing) {
  at::manual_seed(2);
  const auto weight = at::randn({32, 64});
  const auto x = at::randn({400, 16}).mm(at::randn({16, 64}));  // of rank 16
  const auto hessian = x.t().mm(x) / 400;
  for (const int64_t run : {64, 16}) {
    const auto reduced =
        transform::reduce_magnitude(weight, hessian, run, {.alpha = 0.1, .steps = 200});
    const auto largest = [&](const at::Tensor& w) {
      return w.abs().unflatten(1, {-1, run}).amax(-1).mean().item<double>();
    };
    EXPECT_LT(largest(reduced), 0.85 * largest(weight));
    EXPECT_LT((x.mm((reduced - weight).t()).norm() / x.mm(weight.t()).norm()).item<double>(), 0.02);
  }
}

TEST(Magr, HessianOfZerosChangesNothing) {
  const auto weight = at::randn({4, 8});
  EXPECT_TRUE(transform::reduce_magnitude(weight, at::zeros({8, 8}), 8, {}).equal(weight));
}

TEST(Magr, NetworkComputesNearlyTheSameWithSmallerWeights) {
  for (const char* name : {"LlamaForCausalLM", "GPT2LMHeadModel", "OPTForCausalLM"}) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), small_configs()[name]);
    const auto before = logits_of(model);
    const auto first = model;
    transform_model(model, find_transform("magr"), {{"alpha", 1e-4}, {"steps", 50}},
                    context_of(model, QuantSpec{}));
    EXPECT_LT(difference(logits_of(model), before), 0.05);
    size_t changed = 0;
    for (const auto& layer : model.layers) {
      if (!model.changed.contains(layer.weight_name)) continue;
      ++changed;
      const auto old = first.parameters->get(layer.weight_name);
      EXPECT_LE(model.parameters->get(layer.weight_name).abs().max().item<double>(),
                old.abs().max().item<double>());
    }
    EXPECT_GE(changed, 3u * 4);
  }
}

}  // namespace
}  // namespace laconic
