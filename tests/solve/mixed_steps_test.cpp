#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <nlohmann/json.hpp>

#include "laconic/graph/mixed_precision.h"
#include "tests/solve/toy_block.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::int_spec;
using laconic::testing::ToyBlock;

std::vector<LayerSolution> solve_with(const char* solver, const BlockProblem& problem,
                                      const nlohmann::json& amp) {
  return find_solver(solver).solve_block(problem, {{"steps", 60}, {"batch", 4}, {"amp", amp}});
}

TEST(MixedSteps, AreInBfloat16AndTheChoiceOfTheStateInFloat) {
  for (const char* solver : {"autoround", "brecq"}) {
    SCOPED_TRACE(solver);
    ToyBlock toy(int_spec(3, PerChannel{0}));
    const auto plain = toy.problem.loss;
    for (const bool amp : {false, true}) {
      int mixed = 0, others = 0;
      toy.problem.loss = [&](const auto& windows, const auto& weights) {
        ++(at::autocast::is_autocast_enabled(at::kCPU) ? mixed : others);
        EXPECT_EQ(at::autocast::is_autocast_enabled(at::kCPU), amp && weights[0].requires_grad());
        const at::Tensor loss = plain(windows, weights);
        EXPECT_EQ(loss.scalar_type(), at::kFloat);
        return loss;
      };
      solve_with(solver, toy.problem, amp);
      EXPECT_EQ(mixed, amp ? 60 : 0);
      EXPECT_GE(others, amp ? 6 : 66);  // 12 windows, 4 at once: at the beginning, and at the end
    }
  }
}

TEST(MixedSteps, LearnWhatStepsInFloatLearn) {
  for (const char* solver : {"autoround", "brecq"}) {
    SCOPED_TRACE(solver);
    const ToyBlock toy(int_spec(3, PerChannel{0}));
    const auto exact = solve_with(solver, toy.problem, false);
    const auto mixed = solve_with(solver, toy.problem, true);
    EXPECT_FALSE(at::equal(exact[0].codes, mixed[0].codes) &&
                 at::equal(exact[1].codes, mixed[1].codes));
    // Of float32's when this was written: 0.96 (autoround) and 1.01.
    EXPECT_LT(toy.loss(mixed), 1.1 * toy.loss(exact));
    EXPECT_LT(toy.loss(mixed), toy.loss(toy.nearest()));
  }
}

TEST(MixedSteps, AutoIsWhatTheDeviceIsFastAt) {
  const ToyBlock toy(int_spec(3, PerChannel{0}));
  const auto found = solve_with("autoround", toy.problem, "auto");
  const auto wanted =
      solve_with("autoround", toy.problem, graph::MixedPrecision::is_fast(at::kCPU));
  for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i].codes, wanted[i].codes));
}

TEST(MixedSteps, OtherWordsAreRefusedAndLayersByThemselvesHaveNone) {
  for (const char* solver : {"autoround", "brecq"}) {
    for (const nlohmann::json& amp : {nlohmann::json("fast"), nlohmann::json(1)}) {
      expect_error<c10::ValueError>(
          [&] {
            find_solver(solver).check_options({{"amp", amp}});
          },
          {std::string("[") + solver + "] amp", "auto, true or false", amp.dump()});
    }
  }
  expect_error<c10::ValueError>(
      [] {
        find_solver("adaround").check_options({{"amp", true}});
      },
      {"[adaround]", "unknown option", "amp"});
}

}  // namespace
}  // namespace laconic
