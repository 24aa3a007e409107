#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "laconic/base/atomic_file.h"
#include "laconic/base/interrupt.h"
#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/fisher_weights.h"
#include "laconic/solve/autoround/autoround.h"
#include "tests/calibrate/small_model.h"

namespace laconic {
namespace {

using laconic::testing::some_windows;
using laconic::testing::TemporaryDirectory;
using laconic::testing::tiny;

/// 3-bit layers of the blocks, solved block by block; with 8-bit inputs when asked.
std::vector<LayerPlan> joint_plans(bool has_inputs = false) {
  QuantSpec weight, input;
  weight.format = IntFormat{.bit_width = 3};
  weight.granularity = PerGroup{.axis = 1, .group_size = 64};
  input.format = IntFormat{.bit_width = 8};
  input.granularity = PerToken{};
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : tiny().layers) {
    if (layer.name.find(".layers.") == std::string::npos) continue;
    plans.push_back({layer, weight, has_inputs ? std::optional(input) : std::nullopt, true, false,
                     /*is_joint=*/true});
  }
  return plans;
}

LayerProblem problem_of(const BlockTask::Layer& layer) {
  return {.name = layer.plan->layer.name,
          .weight = layer.weight,
          .spec = layer.plan->weight,
          .hessian = layer.statistics.hessian,
          .importance = {}};
}

std::vector<SolvedLayer> solve_by_autoround(const BlockTask& block, int64_t steps) {
  BlockProblem problem{block.name, {}, block.windows, block.loss};
  for (const auto& layer : block.layers) problem.layers.push_back(problem_of(layer));
  autoround::AutoRoundOptions options;
  options.loop.steps = steps;
  options.loop.batch = 2;
  std::vector<SolvedLayer> solved;
  for (const auto& solution : autoround::solve_block(problem, options))
    solved.push_back({solution.codes, solution.parameters, solution.notes});
  return solved;
}

SolveFunction no_layer() {
  return [](const LayerPlan& plan, const at::Tensor&, const LayerStatistics&) -> SolvedLayer {
    ADD_FAILURE() << plan.layer.name << " was solved by itself";
    return {};
  };
}

EngineReport run(const std::filesystem::path& out, const std::vector<LayerPlan>& plans,
                 EngineOptions options, const SolveBlockFunction& solve) {
  options.solve_block = solve;
  NativeWriter writer(out, engine_shard_count(tiny()));
  return run_engine(tiny(), plans, some_windows(), no_layer(), writer, options);
}

std::vector<at::Tensor> float_weights(const BlockTask& block) {
  std::vector<at::Tensor> weights;
  for (const auto& layer : block.layers) weights.push_back(layer.weight);
  return weights;
}

std::vector<int64_t> all_windows(const BlockTask& block) {
  std::vector<int64_t> windows(static_cast<size_t>(block.windows));
  std::iota(windows.begin(), windows.end(), 0);
  return windows;
}

TEST(BlockSolver, SeesTheFloatBlocksOutputAndWhatEntersTheQuantizedOne) {
  for (const bool quantized_inputs : {true, false}) {
    SCOPED_TRACE(quantized_inputs);
    const TemporaryDirectory directory;
    std::vector<double> losses;
    run(directory / "out", joint_plans(), {.batch = 3, .quantized_inputs = quantized_inputs},
        [&](const BlockTask& block) {
          EXPECT_EQ(block.windows, 5);
          losses.push_back(block.loss(all_windows(block), float_weights(block)).item<double>());
          return solve_by_autoround(block, 0);
        });
    ASSERT_EQ(losses.size(), tiny().blocks.size());
    // Float weights lose nothing where nothing was lost before.
    EXPECT_LT(losses.front(), 1e-12);
    EXPECT_EQ(losses.at(1) > 1e-6, quantized_inputs);
  }
}

TEST(BlockSolver, LossHasGradientsOfEveryLayerAlsoBehindQuantizedInputs) {
  for (const bool has_inputs : {false, true}) {
    SCOPED_TRACE(has_inputs);
    const TemporaryDirectory directory;
    EngineOptions options{.stop_after_blocks = 2};
    EXPECT_THROW(run(directory / "out", joint_plans(has_inputs), options,
                     [&](const BlockTask& block) {
                       const at::AutoGradMode records(true);
                       std::vector<at::Tensor> weights;
                       for (const auto& layer : block.layers)
                         weights.push_back((layer.weight * 1.1).detach().requires_grad_());
                       block.loss({4, 1}, weights).backward();
                       for (const at::Tensor& weight : weights)
                         EXPECT_GT(weight.grad().abs().max().item<double>(), 0);
                       return solve_by_autoround(block, 0);
                     }),
                 Interrupted);
  }
}

TEST(BlockSolver, LossOfWindowsIsTheMeanOfTheirs) {
  const TemporaryDirectory directory;
  run(directory / "out", joint_plans(), {.batch = 2}, [&](const BlockTask& block) {
    auto weights = float_weights(block);
    weights[0] = weights[0] * 0.5;
    const auto loss = [&](const std::vector<int64_t>& windows) {
      return block.loss(windows, weights).item<double>();
    };
    const double first = loss({1}), second = loss({4});
    EXPECT_GT(std::abs(first - second), 1e-3 * first);
    EXPECT_NEAR(loss({1, 4}), (first + second) / 2, 1e-5 * first);
    return solve_by_autoround(block, 0);
  });
}

/// Loss of the next token when what leaves a block is `value`.
double loss_behind(const graph::Runner& runner, graph::NodeId end, graph::Value leaving,
                   const at::Tensor& value, const graph::Environment& others) {
  graph::Environment environment = others;
  environment[leaving] = value;
  const auto& graph = runner.graph();
  runner.run(end, graph.size(), *tiny().parameters, environment);
  const auto logits = environment.at({graph.output(), 0}).to(at::kDouble);
  const auto ids = some_windows();
  return at::cross_entropy_loss(logits.narrow(1, 0, logits.size(1) - 1).transpose(1, 2),
                                ids.narrow(1, 1, ids.size(1) - 1))
      .item<double>();
}

TEST(FisherWeights, AreSquaredSlopesOfTheLossOfTheNextToken) {
  const at::NoGradGuard no_gradient;
  const graph::Runner runner(tiny().graph);
  const graph::Block& block = tiny().blocks.at(tiny().blocks.size() - 2);
  Activations activations(runner, some_windows(), 5);
  Progress progress("", 1, false);
  activations.advance(block.end, *tiny().parameters, progress);
  const BlockLoss::Passage passage{&runner, block.begin, block.end, &activations};
  const auto weights = fisher_weights(passage, *tiny().parameters, some_windows(), 5);
  ASSERT_EQ(weights.size(), 1u);
  EXPECT_NEAR(weights[0].mean().item<double>(), 1, 1e-5);
  const auto values = activations.gather({0, 1, 2, 3, 4});
  const graph::Value leaving = BlockLoss::leaving(passage).front();
  const auto value = values.at(leaving).to(at::kFloat);
  const auto slope = [&](int64_t token, int64_t feature) {
    auto there = value.clone(), back = value.clone();
    const double step = 0.02;
    there[2][token][feature] += step;
    back[2][token][feature] -= step;
    return (loss_behind(runner, block.end, leaving, there, values) -
            loss_behind(runner, block.end, leaving, back, values)) /
           (2 * step);
  };
  // Those that matter most: their slopes stand out of the rounding of float32.
  const auto largest = std::get<1>(weights[0][2].flatten().topk(6));
  double first = 0;
  for (int64_t i = 0; i < 6; ++i) {
    const int64_t place = largest[i].item<int64_t>();
    const int64_t token = place / value.size(2), feature = place % value.size(2);
    const double squared = std::pow(slope(token, feature), 2);
    const double ratio = weights[0][2][token][feature].item<double>() / squared;
    if (i == 0) first = ratio;
    EXPECT_NEAR(ratio / first, 1, 0.05) << token << " " << feature;
  }
}

TEST(BlockSolver, FisherWeightsMakeTheLossAnother) {
  const TemporaryDirectory directory;
  std::vector<double> plain, weighted;
  for (auto* losses : {&plain, &weighted}) {
    auto plans = joint_plans();
    for (LayerPlan& plan : plans) plan.has_fisher = losses == &weighted;
    const EngineOptions options{.stop_after_blocks = 1};
    EXPECT_THROW(run(directory / (losses == &plain ? "a" : "b"), plans, options,
                     [&](const BlockTask& block) {
                       auto weights = float_weights(block);
                       losses->push_back(block.loss(all_windows(block), weights).item<double>());
                       weights[0] = weights[0] * 0.5;
                       losses->push_back(block.loss(all_windows(block), weights).item<double>());
                       return solve_by_autoround(block, 0);
                     }),
                 Interrupted);
  }
  EXPECT_LT(plain.at(0), 1e-12);
  EXPECT_LT(weighted.at(0), 1e-12);
  EXPECT_GT(std::abs(weighted.at(1) / plain.at(1) - 1), 0.01);
}

TEST(BlockSolver, ResumedRunGivesTheSameBytes) {
  const auto solve = [](const BlockTask& block) { return solve_by_autoround(block, 4); };
  const TemporaryDirectory directory;
  const auto plans = joint_plans();
  run(directory / "whole", plans, {}, solve);
  EXPECT_THROW(run(directory / "killed", plans, {.stop_after_blocks = 2}, solve), Interrupted);
  run(directory / "killed", plans, {}, solve);
  for (int shard = 0; shard < engine_shard_count(tiny()); ++shard) {
    char name[64];
    std::snprintf(name, sizeof(name), "model-%05d-of-%05d.safetensors", shard + 1,
                  engine_shard_count(tiny()));
    const auto bytes = [&](const char* out) { return read_text_file(directory / out / name); };
    EXPECT_EQ(bytes("whole.partial"), bytes("killed.partial")) << name;
  }
}

}  // namespace
}  // namespace laconic
