#include <ATen/ATen.h>

#include "laconic/base/atomic_file.h"
#include "laconic/base/interrupt.h"
#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/memory_plan.h"
#include "laconic/calibrate/segments.h"
#include "laconic/graph/run.h"
#include "laconic/solve/solve.h"
#include "tests/calibrate/small_model.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::some_windows;
using laconic::testing::TemporaryDirectory;
using laconic::testing::tiny;

constexpr const char* kFirst = "model.layers.0.self_attn.q_proj";

/// The table of the small model, two bits a number, for the embedding and the head tied to it.
LayerPlan table_plan() {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 2};
  return {.layer = graph::find_embeddings(tiny().graph).at(0),
          .weight = spec,
          .input = std::nullopt,
          .tied = {"lm_head"}};
}

/// The table, then the layers of the blocks by GPTQ.
std::vector<LayerPlan> whole_plans() {
  std::vector<LayerPlan> plans = {table_plan()};
  for (const graph::LinearLayer& layer : tiny().layers) {
    if (layer.name == "lm_head") continue;
    plans.push_back({layer, {}, std::nullopt, /*needs_hessian=*/true});
  }
  return plans;
}

using StatisticsByLayer = std::map<std::string, LayerStatistics>;

EngineReport engine_run(const std::filesystem::path& out, const std::vector<LayerPlan>& plans,
                        const EngineOptions& options = {}, StatisticsByLayer* found = nullptr) {
  const auto solve = [&](const LayerPlan& plan, const at::Tensor& weight,
                         const LayerStatistics& statistics) {
    if (found != nullptr) (*found)[plan.layer.name] = statistics;
    const Solver& solver = find_solver(plan.needs_hessian ? "gptq" : "nearest");
    const auto solution = solver.solve({.name = plan.layer.name,
                                        .weight = weight,
                                        .spec = plan.weight,
                                        .hessian = statistics.hessian,
                                        .importance = {}},
                                       solver.default_options());
    return SolvedLayer{solution.codes, solution.parameters, solution.notes};
  };
  NativeWriter writer(out, engine_shard_count(tiny()));
  return run_engine(tiny(), plans, some_windows(), solve, writer, options);
}

/// What the first layer multiplies in a whole run, with or without the table quantized: [rows, in].
at::Tensor first_input(bool quantized) {
  const LayerPlan plan = table_plan();
  const at::Tensor table = tiny().parameters->get(plan.layer.weight_name);
  const graph::OverlaidParameters parameters(
      *tiny().parameters,
      {{plan.layer.weight_name, quantized ? fake_quantize_dynamic(plan.weight, table) : table}});
  const graph::Runner runner(tiny().graph);
  for (const graph::LinearLayer& layer : tiny().layers) {
    if (layer.name != kFirst) continue;
    graph::Environment environment = {{graph::Value{runner.graph().input(), 0}, some_windows()}};
    runner.run(0, layer.node, parameters, environment, {layer.input});
    return environment.at(layer.input).flatten(0, 1);
  }
  return {};
}

void expect_near(const at::Tensor& found, const at::Tensor& expected) {
  const double scale = expected.abs().max().item<double>();
  // float32 sums in another order
  EXPECT_LT((found - expected).abs().max().item<double>(), 1e-4 * scale);
}

std::vector<std::string> shard_texts(const std::filesystem::path& out) {
  std::vector<std::string> texts;
  for (int i = 1; i <= engine_shard_count(tiny()); ++i)
    texts.push_back(read_text_file(out.string() + ".partial/model-0000" + std::to_string(i) +
                                   "-of-00007.safetensors"));
  return texts;
}

TEST(QuantizedEmbedding, BlocksAreSolvedOnWhatItGives) {
  const TemporaryDirectory directory;
  StatisticsByLayer quantized, plain;
  engine_run(directory / "quantized", whole_plans(), {}, &quantized);
  engine_run(directory / "plain", whole_plans(), {.quantized_inputs = false}, &plain);
  const at::Tensor x = first_input(false), lossy = first_input(true);
  const double rows = static_cast<double>(x.size(0));
  expect_near(quantized.at(kFirst).hessian, lossy.t().matmul(lossy) / rows);
  expect_near(plain.at(kFirst).hessian, x.t().matmul(x) / rows);
  EXPECT_FALSE(quantized.at("model.embed_tokens").hessian.defined());
}

TEST(QuantizedEmbedding, StaysInFloatInTheFloatNetworkBeside) {
  const TemporaryDirectory directory;
  auto plans = whole_plans();
  for (size_t i = 1; i < plans.size(); ++i) plans[i].needs_mismatch = true;
  StatisticsByLayer found;
  engine_run(directory / "out", plans, {}, &found);
  const at::Tensor x = first_input(false), lossy = first_input(true);
  expect_near(found.at(kFirst).mismatch,
              lossy.t().matmul(x - lossy) / static_cast<double>(x.size(0)));
}

TEST(QuantizedEmbedding, IsInTheLastShardAndResumedToTheSameBytes) {
  const TemporaryDirectory directory;
  const auto plans = whole_plans();
  const auto whole = engine_run(directory / "whole", plans);
  const auto texts = shard_texts(directory / "whole");
  EXPECT_THROW(engine_run(directory / "cut", plans, {.stop_after_blocks = 2}), Interrupted);
  const auto resumed = engine_run(directory / "cut", plans);
  const auto again = engine_run(directory / "whole", plans);  // all shards are there
  EXPECT_EQ(shard_texts(directory / "cut"), texts);
  for (const EngineReport* report : {&whole, &resumed, &again}) {
    ASSERT_EQ(report->layers.size(), plans.size());
    for (size_t i = 0; i < plans.size(); ++i)
      EXPECT_EQ(report->layers[i].name, plans[i].layer.name);
  }
  const auto last = SafetensorsFile::open((directory / "whole").string() +
                                          ".partial/model-00007-of-00007.safetensors");
  EXPECT_NE(last->find("model.embed_tokens.weight_codes"), nullptr);
  EXPECT_EQ(last->find("model.embed_tokens.weight"), nullptr);
}

TEST(QuantizedEmbedding, WithoutItsTiedHeadIsRefused) {
  const TemporaryDirectory directory;
  LayerPlan table = table_plan(), head = table_plan();
  table.tied.clear();
  expect_error<c10::ValueError>(
      [&] { engine_run(directory / "out", {table}); },
      {"model.embed_tokens", "is tied to \"lm_head\"", "[embedding, head]", "fold_norms"});
  for (const graph::LinearLayer& layer : tiny().layers)
    if (layer.name == "lm_head") head.layer = layer;
  expect_error<c10::ValueError>(
      [&] {
        engine_run(directory / "out", {table, head});
      },
      {"model.embed_tokens and lm_head share the weight", "one rule"});
}

/// The largest resident set that quantizing these without statistics is planned to have.
uint64_t planned_bytes(const std::vector<LayerPlan>& plans) {
  const EngineGraph graph = plan_segments(tiny(), plans, /*quantized_inputs=*/true);
  return plan_memory({tiny(), graph, /*runs_float=*/false, /*run=*/0}, {}, 0).planned_bytes;
}

TEST(QuantizedEmbedding, IsCountedInThePlannedMemory) {
  auto plans = whole_plans();
  for (LayerPlan& plan : plans) plan.needs_hessian = false;
  const uint64_t with = planned_bytes(plans);
  plans.erase(plans.begin());
  // The table in float and what is made of it at least; the largest other layer is a fifth of it.
  EXPECT_GT(with, planned_bytes(plans) + 2 * uint64_t{4096 * 256 * 4});
}

}  // namespace
}  // namespace laconic
