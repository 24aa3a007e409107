#include "laconic/calibrate/shared_work.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <mutex>

#include "laconic/base/interrupt.h"
#include "laconic/solve/autoround/autoround.h"
#include "laconic/solve/solve.h"
#include "tests/calibrate/small_model.h"
#include "tests/processes/in_threads.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::in_threads;
using laconic::testing::some_windows;
using laconic::testing::TemporaryDirectory;

constexpr int kProcesses = 2;

/// Made once: threads share the generator.
const at::Tensor& five_windows() {
  static const at::Tensor windows = some_windows(5);
  return windows;
}

/// Each process has a model of its own.
LanguageModel own_model() {
  return load_language_model(laconic::testing::repository() / "assets/tiny-lm",
                             {.resident = false});
}

std::vector<LayerPlan> plans_of(const LanguageModel& model, bool is_joint) {
  QuantSpec weight, input;
  weight.format = IntFormat{.bit_width = 4};
  weight.granularity = PerGroup{.axis = 1, .group_size = 64};
  input.format = IntFormat{.bit_width = 8};
  input.scale = StaticScale{{.statistic = AbsMax{}}};
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : model.layers) {
    // Two blocks say as much as all.
    if (layer.name.find(".layers.0.") == std::string::npos &&
        layer.name.find(".layers.1.") == std::string::npos)
      continue;
    LayerPlan plan{.layer = layer, .weight = weight, .input = input, .needs_hessian = true};
    plan.needs_mismatch = !is_joint;
    plan.is_joint = is_joint;
    plans.push_back(plan);
  }
  return plans;
}

struct Result {
  std::map<std::string, LayerStatistics> statistics;  ///< that solvers of single layers saw
  EngineReport report;
};

SolvedLayer solve(const std::string& name, const LayerPlan& plan, const at::Tensor& weight,
                  const LayerStatistics& statistics) {
  const Solver& row = find_solver(name);
  LayerProblem problem{plan.layer.name, weight, plan.weight, statistics.hessian, {}};
  const LayerSolution solution = row.solve(problem, row.default_options());
  return {solution.codes, solution.parameters, solution.notes};
}

Result run(const std::string& solver, const std::filesystem::path& out, Processes* processes,
           const at::Tensor& windows = five_windows(), int64_t stop_after_blocks = -1) {
  Result result;
  const LanguageModel model = own_model();
  const auto plans = plans_of(model, /*is_joint=*/false);
  NativeWriter writer(out, engine_shard_count(model));
  EngineOptions options;
  options.processes = processes;
  options.stop_after_blocks = stop_after_blocks;
  result.report = run_engine(
      model, plans, windows,
      [&](const LayerPlan& plan, const at::Tensor& weight, const LayerStatistics& statistics) {
        result.statistics[plan.layer.name] = statistics;
        return solve(solver, plan, weight, statistics);
      },
      writer, options);
  return result;
}

std::map<std::string, at::Tensor> tensors_of(const std::filesystem::path& out) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& entry : std::filesystem::directory_iterator(out.string() + ".partial")) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto file = SafetensorsFile::open(entry.path());
    for (const SafetensorsEntry& entry_of : file->entries())
      tensors[entry_of.name] = file->tensor(entry_of.name).clone();
  }
  return tensors;
}

void expect_close(const at::Tensor& a, const at::Tensor& b, const std::string& name) {
  ASSERT_EQ(a.defined(), b.defined()) << name;
  if (!a.defined()) return;
  // float32 sums in another order.
  EXPECT_LE((a - b).abs().max().item<double>(), 1e-5 * b.abs().max().item<double>()) << name;
}

TEST(SharedWork, StatisticsAndCodesAreThoseOfOneProcess) {
  const TemporaryDirectory directory;
  const Result alone = run("nearest", directory / "alone", nullptr);
  std::mutex mutex;
  std::map<std::string, LayerStatistics> shared;
  in_threads(kProcesses, [&](Processes& processes) {
    const Result mine = run("nearest", directory / "shared", &processes);
    const std::lock_guard lock(mutex);
    for (const auto& [name, statistics] : mine.statistics) {
      EXPECT_FALSE(shared.contains(name)) << name << " was solved twice";
      shared[name] = statistics;
    }
  });
  ASSERT_EQ(shared.size(), alone.statistics.size());
  for (const auto& [name, expected] : alone.statistics) {
    const LayerStatistics& got = shared.at(name);
    expect_close(got.hessian, expected.hessian, name);
    expect_close(got.mean, expected.mean, name);
    EXPECT_EQ(got.rows, expected.rows) << name;
    ASSERT_TRUE(got.mismatch.defined()) << name;
    // A difference of close numbers: against the size of what was subtracted.
    const double size = expected.hessian.abs().max().item<double>();
    EXPECT_LE((got.mismatch - expected.mismatch).abs().max().item<double>(), 1e-5 * size) << name;
    EXPECT_TRUE(at::equal(got.input->scale, expected.input->scale)) << name;
  }
  const auto one = tensors_of(directory / "alone"), other = tensors_of(directory / "shared");
  ASSERT_EQ(one.size(), other.size());
  for (const auto& [name, tensor] : one) EXPECT_TRUE(at::equal(tensor, other.at(name))) << name;
}

TEST(SharedWork, GptqLosesAsMuchAsInOneProcess) {
  // Sums in another order turn some of its codes; what counts is the error of the outputs.
  const TemporaryDirectory directory;
  const auto error_of = [](const EngineReport& report) {
    double sum = 0;
    for (const LayerReport& layer : report.layers) sum += layer.output_error;
    return sum / static_cast<double>(report.layers.size());
  };
  const double alone = error_of(run("gptq", directory / "alone", nullptr).report);
  const double nearest = error_of(run("nearest", directory / "nearest", nullptr).report);
  double shared = 0;
  in_threads(kProcesses, [&](Processes& processes) {
    const auto result = run("gptq", directory / "shared", &processes);
    if (processes.leads()) shared = error_of(result.report);
  });
  EXPECT_LT(alone, 0.9 * nearest);
  EXPECT_NEAR(shared, alone, 0.02 * alone);
}

TEST(SharedWork, AnInterruptedRunGoesOnAndGivesTheSameBytes) {
  const TemporaryDirectory directory;
  const auto run_both = [&](const std::string& name, int64_t stop_after_blocks = -1) {
    in_threads(kProcesses, [&](Processes& processes) {
      run("gptq", directory / name, &processes, five_windows(), stop_after_blocks);
    });
  };
  run_both("undisturbed");
  EXPECT_THROW(run_both("resumed", 1), Interrupted);
  run_both("resumed");
  const auto one = tensors_of(directory / "undisturbed"), other = tensors_of(directory / "resumed");
  ASSERT_EQ(one.size(), other.size());
  for (const auto& [name, tensor] : one) EXPECT_TRUE(at::equal(tensor, other.at(name))) << name;
}

TEST(SharedWork, ALossOfOneProcessesWindowsHasTheGradientsOfAll) {
  const at::Tensor x = at::randn({5, 3, 8});
  const auto loss_of = [&](const at::Tensor& data) {
    return [data](const std::vector<int64_t>& windows, const std::vector<at::Tensor>& weights) {
      return data.index_select(0, at::tensor(windows)).matmul(weights[0].t()).square().mean() +
             weights[1].square().sum();
    };
  };
  const std::vector<at::Tensor> start = {at::randn({4, 8}), at::randn({3})};
  const auto result = [&](const BlockLossFunction& loss, const std::vector<int64_t>& windows) {
    std::vector<at::Tensor> weights;
    for (const at::Tensor& weight : start) weights.push_back(weight.clone().requires_grad_(true));
    const at::Tensor value = loss(windows, weights);
    std::vector<at::Tensor> found = torch::autograd::grad({value}, weights);
    found.push_back(value.detach());
    return found;
  };
  // Of both, of the first alone, of the second alone.
  for (const std::vector<int64_t>& windows :
       std::vector<std::vector<int64_t>>{{4, 0, 2}, {1, 2}, {3, 4, 3}}) {
    const auto expected = result(loss_of(x), windows);
    in_threads(kProcesses, [&](Processes& processes) {
      const Share share = own_windows(5, &processes);
      const auto mine = loss_of(x.narrow(0, share.begin, share.count()));
      const auto found = result(shared_loss(processes, share, mine), windows);
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-5, 1e-6)) << i;
    });
  }
}

TEST(SharedWork, BlocksAreSolvedByAllTogether) {
  const TemporaryDirectory directory;
  const auto run_joint = [&](const std::filesystem::path& out, Processes* processes) {
    const LanguageModel model = own_model();
    const auto plans = plans_of(model, /*is_joint=*/true);
    NativeWriter writer(out, engine_shard_count(model));
    EngineOptions options;
    options.processes = processes;
    std::vector<double> losses;
    options.solve_block = [&](const BlockTask& block) {
      EXPECT_EQ(block.windows, 5);
      BlockProblem problem{block.name, {}, block.windows, block.loss};
      for (const auto& layer : block.layers)
        problem.layers.push_back({layer.plan->layer.name,
                                  layer.weight,
                                  layer.plan->weight,
                                  layer.statistics.hessian,
                                  {}});
      autoround::AutoRoundOptions wanted;
      wanted.loop.steps = 4;
      wanted.loop.batch = 2;
      std::vector<SolvedLayer> solved;
      std::vector<at::Tensor> weights;
      for (const auto& solution : autoround::solve_block(problem, wanted)) {
        solved.push_back({solution.codes, solution.parameters, solution.notes});
        weights.push_back(dequantize(plans.front().weight, solution.codes, solution.parameters));
      }
      losses.push_back(block.loss({0, 1, 2, 3, 4}, weights).item<double>());
      return solved;
    };
    run_engine(model, plans, five_windows(), {}, writer, options);
    return losses;
  };
  const auto alone = run_joint(directory / "alone", nullptr);
  ASSERT_FALSE(alone.empty());
  in_threads(kProcesses, [&](Processes& processes) {
    const auto shared = run_joint(directory / "shared", &processes);
    ASSERT_EQ(shared.size(), alone.size());
    for (size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(shared[i], alone[i], 0.05 * alone[i]);
  });
}

TEST(SharedWork, FewerWindowsThanProcessesAreRefused) {
  const TemporaryDirectory directory;
  const at::Tensor windows = some_windows(2);
  expect_error<c10::ValueError>(
      [&] {
        in_threads(3, [&](Processes& processes) {
          run("nearest", directory / "out", &processes, windows);
        });
      },
      {"2 calibration windows for 3 processes", "Start fewer"});
}

TEST(SharedWork, RangesOfMeansAreThoseOfAllWindows) {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 8};
  spec.zero_point = IntegerZeroPoint{};
  for (const Statistic& statistic : {Statistic(MinMax{}), Statistic(PercentileInterval{})}) {
    spec.scale = StaticScale{{.statistic = statistic}};
    const at::Tensor x = at::randn({7, 16});
    RunningRange all(spec);
    for (int64_t i = 0; i < x.size(0); ++i) all.add(x.narrow(0, i, 1));
    in_threads(kProcesses, [&](Processes& processes) {
      RunningRange mine(spec);
      const Share share = share_of(x.size(0), processes.rank(), processes.size());
      for (int64_t i = share.begin; i < share.end; ++i) mine.add(x.narrow(0, i, 1));
      const QuantParameters found = shared_range(processes, mine).parameters();
      EXPECT_TRUE(at::allclose(found.scale, all.parameters().scale, 1e-6, 0));
      EXPECT_TRUE(at::equal(found.zero_point, all.parameters().zero_point));
    });
  }
}

}  // namespace
}  // namespace laconic
