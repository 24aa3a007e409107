#include "laconic/calibrate/engine.h"

#include <ATen/ATen.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "laconic/base/atomic_file.h"
#include "laconic/base/interrupt.h"
#include "laconic/calibrate/fidelity.h"
#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/run.h"
#include "laconic/solve/solve.h"
#include "tests/calibrate/small_model.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::some_windows;
using laconic::testing::TemporaryDirectory;
using laconic::testing::tiny;

QuantSpec four_bits() {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 4};
  spec.granularity = PerGroup{.axis = 1, .group_size = 64};
  return spec;
}

/// All layers of the blocks.
std::vector<LayerPlan> block_plans(bool needs_hessian) {
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : tiny().layers) {
    if (layer.name.find(".layers.") == std::string::npos) continue;
    plans.push_back({layer, four_bits(), std::nullopt, needs_hessian});
  }
  return plans;
}

SolveFunction solver(const std::string& name) {
  return
      [name](const LayerPlan& plan, const at::Tensor& weight, const LayerStatistics& statistics) {
        const Solver& row = find_solver(name);
        const LayerSolution solution = row.solve({.name = plan.layer.name,
                                                  .weight = weight,
                                                  .spec = plan.weight,
                                                  .hessian = statistics.hessian,
                                                  .importance = {},
                                                  .mismatch = statistics.mismatch},
                                                 row.default_options());
        return SolvedLayer{solution.codes, solution.parameters, solution.notes};
      };
}

EngineReport run(const std::filesystem::path& out, const std::vector<LayerPlan>& plans,
                 const std::string& name, const EngineOptions& options = {},
                 const at::Tensor& windows = some_windows()) {
  NativeWriter writer(out, engine_shard_count(tiny()));
  return run_engine(tiny(), plans, windows, solver(name), writer, options);
}

std::map<std::string, std::string> shards_of(const std::filesystem::path& out) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::directory_iterator(out.string() + ".partial")) {
    if (entry.path().extension() != ".safetensors") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    contents[entry.path().filename().string()] = text.str();
  }
  return contents;
}

/// Statistics that the engine gave to the solver, by layer.
std::map<std::string, LayerStatistics> statistics_of(const std::vector<LayerPlan>& plans,
                                                     const EngineOptions& options,
                                                     const std::filesystem::path& out) {
  std::map<std::string, LayerStatistics> found;
  NativeWriter writer(out, engine_shard_count(tiny()));
  run_engine(
      tiny(), plans, some_windows(),
      [&](const LayerPlan& plan, const at::Tensor& weight, const LayerStatistics& statistics) {
        found[plan.layer.name] = statistics;
        return solver("nearest")(plan, weight, {});
      },
      writer, options);
  return found;
}

void expect_close(const at::Tensor& a, const at::Tensor& b) {
  const double scale = b.abs().max().item<double>();
  EXPECT_LT((a - b).abs().max().item<double>(), 1e-4 * scale);  // float32 sums in another order
}

/// What a layer's input is in a whole run: [rows, in].
at::Tensor input_rows(const std::string& name, const graph::Parameters& parameters) {
  const graph::Runner runner(tiny().graph);
  for (const graph::LinearLayer& layer : tiny().layers) {
    if (layer.name != name) continue;
    graph::Environment environment = {{graph::Value{runner.graph().input(), 0}, some_windows()}};
    runner.run(0, layer.node, parameters, environment, {layer.input});
    const at::Tensor x = environment.at(layer.input);
    return x.reshape({-1, x.size(-1)});
  }
  return {};
}

/// X^T X / n of a layer's input in a whole run of a network.
at::Tensor expected_hessian(const std::string& name, const graph::Parameters& parameters) {
  const at::Tensor x = input_rows(name, parameters);
  return x.t().matmul(x) / x.size(0);
}

/// The network with the weights of all plans rounded to nearest.
graph::OverlaidParameters nearest_network(const std::vector<LayerPlan>& plans) {
  std::map<std::string, at::Tensor> quantized;
  for (const LayerPlan& plan : plans) {
    const at::Tensor weight = tiny().parameters->get(plan.layer.weight_name);
    const auto parameters = find_parameters(plan.weight, weight);
    quantized[plan.layer.weight_name] =
        dequantize(plan.weight, quantize_codes(plan.weight, weight, parameters), parameters);
  }
  return graph::OverlaidParameters(*tiny().parameters, quantized);
}

std::vector<LayerPlan> mismatched_plans() {
  std::vector<LayerPlan> plans = block_plans(true);
  for (LayerPlan& plan : plans) plan.needs_mismatch = true;
  return plans;
}

TEST(Engine, HessiansOfTheFloatNetworkAreThoseOfAWholeRun) {
  const TemporaryDirectory directory;
  const auto found =
      statistics_of(block_plans(true), {.batch = 4, .quantized_inputs = false}, directory / "out");
  EXPECT_EQ(found.size(), block_plans(true).size());
  for (const std::string name : {"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj",
                                 "model.layers.3.self_attn.o_proj", "model.layers.5.mlp.up_proj"}) {
    SCOPED_TRACE(name);
    expect_close(found.at(name).hessian, expected_hessian(name, *tiny().parameters));
    EXPECT_EQ(found.at(name).rows, 5 * 24);
  }
}

TEST(Engine, HessiansOfTheQuantizedNetworkComeFromSolvedWeights) {
  const TemporaryDirectory directory;
  const auto plans = block_plans(true);
  const auto found = statistics_of(plans, {}, directory / "out");
  const graph::OverlaidParameters all = nearest_network(plans);
  for (const std::string name : {"model.layers.0.self_attn.o_proj", "model.layers.0.mlp.down_proj",
                                 "model.layers.5.mlp.gate_proj"}) {
    SCOPED_TRACE(name);
    expect_close(found.at(name).hessian, expected_hessian(name, all));
  }
}

TEST(Engine, MismatchIsWhatTheQuantizedNetworksInputsLack) {
  const TemporaryDirectory directory;
  const auto plans = mismatched_plans();
  const auto found = statistics_of(plans, {}, directory / "out");
  const graph::OverlaidParameters quantized = nearest_network(plans);
  // Nothing was quantized before the first layers.
  EXPECT_EQ(found.at("model.layers.0.self_attn.q_proj").mismatch.abs().max().item<float>(), 0);
  for (const std::string name : {"model.layers.0.mlp.down_proj", "model.layers.5.mlp.gate_proj"}) {
    SCOPED_TRACE(name);
    const at::Tensor x = input_rows(name, *tiny().parameters),
                     quantized_x = input_rows(name, quantized);
    EXPECT_GT((x - quantized_x).abs().max().item<float>(), 0);
    expect_close(found.at(name).mismatch, quantized_x.t().matmul(x - quantized_x) / x.size(0));
    expect_close(found.at(name).hessian, expected_hessian(name, quantized));
  }
}

TEST(Engine, WithFloatInputsThereIsNoMismatch) {
  const TemporaryDirectory directory;
  const auto found =
      statistics_of(mismatched_plans(), {.quantized_inputs = false}, directory / "out");
  EXPECT_FALSE(found.at("model.layers.5.mlp.gate_proj").mismatch.defined());
}

TEST(Engine, ARunBesideTheFloatNetworkIsResumedToTheSameBytes) {
  const TemporaryDirectory directory;
  const auto plans = mismatched_plans();
  run(directory / "whole", plans, "qronos");
  EXPECT_THROW(run(directory / "cut", plans, "qronos", {.stop_after_blocks = 2}), Interrupted);
  run(directory / "cut", plans, "qronos");
  EXPECT_TRUE(shards_of(directory / "whole") == shards_of(directory / "cut"));
}

TEST(Engine, LayersThatShareTheirInputShareOneHessian) {
  const TemporaryDirectory directory;
  const auto found = statistics_of(block_plans(true), {}, directory / "out");
  const auto pointer = [&](const std::string& name) {
    return found.at("model.layers.2." + name).hessian.const_data_ptr();
  };
  EXPECT_EQ(pointer("self_attn.q_proj"), pointer("self_attn.v_proj"));
  EXPECT_EQ(pointer("mlp.gate_proj"), pointer("mlp.up_proj"));
  EXPECT_NE(pointer("mlp.gate_proj"), pointer("mlp.down_proj"));
}

TEST(Engine, ARunGivesTheSameBytesAgainAndWhenItIsResumed) {
  const TemporaryDirectory directory;
  const auto plans = block_plans(true);
  run(directory / "whole", plans, "gptq");
  run(directory / "again", plans, "gptq");
  EXPECT_THROW(run(directory / "cut", plans, "gptq", {.stop_after_blocks = 2}), Interrupted);
  EXPECT_EQ(shards_of(directory / "cut").size(), 2u);
  const EngineReport resumed = run(directory / "cut", plans, "gptq");
  const auto whole = shards_of(directory / "whole");
  EXPECT_EQ(whole.size(), tiny().blocks.size() + 1);
  EXPECT_TRUE(whole == shards_of(directory / "again"));
  EXPECT_TRUE(whole == shards_of(directory / "cut"));
  ASSERT_EQ(resumed.layers.size(), plans.size());
  EXPECT_EQ(resumed.layers[0].name, plans[0].layer.name);
  EXPECT_GT(resumed.layers[0].signal_to_noise_db, 10);
}

TEST(Engine, HowManyWindowsRunAtOnceChangesNoByte) {
  const TemporaryDirectory directory;
  const auto plans = mismatched_plans();
  run(directory / "1", plans, "qronos", {.batch = 1});
  run(directory / "5", plans, "qronos", {.batch = 5});
  EXPECT_TRUE(shards_of(directory / "1") == shards_of(directory / "5"));
}

TEST(Engine, ALimitBelowTheLargestLayerIsRefusedWithItsName) {
  const TemporaryDirectory directory;
  for (const std::string name : {"gptq", "nearest"}) {
    SCOPED_TRACE(name);
    const auto plans = block_plans(name == "gptq");
    expect_error<c10::ValueError>(
        [&] { run(directory / name, plans, name, {.host_memory = 1 << 20}); },
        {"1.0 MiB is too little", "layer model.layers.0.mlp.", "Allow that much"});
    EXPECT_TRUE(shards_of(directory / name).empty());
  }
}

TEST(Engine, WithoutStatisticsNothingIsRun) {
  const TemporaryDirectory directory;
  const EngineReport report =
      run(directory / "out", block_plans(false), "nearest", {}, at::Tensor());
  EXPECT_EQ(report.layers.size(), block_plans(false).size());
  EXPECT_EQ(report.calibrate_seconds, 0);
  EXPECT_TRUE(std::isnan(report.layers[0].output_error));
  EXPECT_TRUE(to_json(report)["layers"][0]["output_error"].is_null());
}

TEST(Engine, EveryTensorOfTheCheckpointIsKeptOrReplaced) {
  const TemporaryDirectory directory;
  run(directory / "out", block_plans(false), "nearest", {}, at::Tensor());
  const auto checkpoint = Checkpoint::open(tiny().directory);
  std::map<std::string, at::Tensor> stored;
  for (const auto& entry : std::filesystem::directory_iterator(directory / "out.partial")) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto shard = SafetensorsFile::open(entry.path());
    for (const auto& tensor : shard->entries()) {
      EXPECT_TRUE(stored.emplace(tensor.name, shard->tensor(tensor.name)).second) << tensor.name;
    }
  }
  std::set<std::string> solved;
  for (const LayerPlan& plan : block_plans(false)) solved.insert(plan.layer.weight_name);
  for (const std::string& name : checkpoint->names()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(stored.contains(name), !solved.contains(name));
    if (!solved.contains(name)) {
      EXPECT_TRUE(at::equal(stored.at(name), checkpoint->tensor(name)));
    }
  }
}

TEST(Engine, GptqLosesLessOfEachLayersOutputThanRoundToNearest) {
  const TemporaryDirectory directory;
  const auto gptq = run(directory / "gptq", block_plans(true), "gptq", {.quantized_inputs = false});
  const auto nearest =
      run(directory / "nearest", block_plans(true), "nearest", {.quantized_inputs = false});
  for (size_t i = 0; i < gptq.layers.size(); ++i) {
    EXPECT_LT(gptq.layers[i].output_error, nearest.layers[i].output_error) << gptq.layers[i].name;
  }
}

TEST(Engine, QuantizedInputsAreInTheStatistics) {
  const TemporaryDirectory directory;
  auto plans = block_plans(true);
  QuantSpec input;
  input.format = IntFormat{.bit_width = 2};
  input.granularity = PerToken{};
  for (LayerPlan& plan : plans) plan.input = input;
  const auto rough = statistics_of(plans, {}, directory / "rough");
  const auto fine = statistics_of(block_plans(true), {}, directory / "fine");
  const std::string name = "model.layers.0.self_attn.q_proj";
  EXPECT_GT(relative_output_error(fine.at(name).hessian, rough.at(name).hessian, at::eye(256)),
            1e-3);
}

TEST(Engine, ATiedHeadIsRefused) {
  const TemporaryDirectory directory;
  for (const graph::LinearLayer& layer : tiny().layers) {
    if (layer.name.find(".layers.") != std::string::npos) continue;
    expect_error<c10::ValueError>(
        [&] {
          run(directory / "out", {{layer, four_bits(), std::nullopt, false}}, "nearest");
        },
        {layer.name, "tied", "tie_word_embeddings"});
    return;
  }
  FAIL() << "no head among the layers";
}

TEST(Engine, WrongPlansAreRefused) {
  const TemporaryDirectory directory;
  auto plans = block_plans(false);
  plans.push_back(plans.front());
  expect_error<c10::ValueError>([&] { run(directory / "out", plans, "nearest"); },
                                {plans[0].layer.name, "twice"});
  plans.back().layer.name = "model.no_such_layer";
  expect_error<c10::ValueError>([&] { run(directory / "out", plans, "nearest"); },
                                {"model.no_such_layer"});
}

TEST(Engine, WrongWindowsAreRefused) {
  const TemporaryDirectory directory;
  const auto refuses = [&](const at::Tensor& windows, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>(
        [&] { run(directory / "out", block_plans(true), "gptq", {}, windows); }, words);
  };
  refuses(at::Tensor(), {"calibration windows"});
  refuses(at::zeros({0, 8}, at::kLong), {"[0, 8]"});
  refuses(at::zeros({1, 8}), {"int64"});
  refuses(at::zeros({1, 4096}, at::kLong), {"4096", "512"});
  refuses(at::full({1, 8}, 4096, at::kLong), {"0 to 4095", "4096"});
}

/// tiny-lm with one parameter spoilt.
class Spoilt : public graph::Parameters {
 public:
  explicit Spoilt(std::string name, float value = NAN) : name_(std::move(name)), value_(value) {}
  at::Tensor get(const std::string& name) const override {
    at::Tensor tensor = tiny().parameters->get(name);
    if (name != name_) return tensor;
    tensor = tensor.clone();
    tensor.view(-1)[3] = value_;
    return tensor;
  }
  bool has(const std::string& name) const override { return tiny().parameters->has(name); }

 private:
  std::string name_;
  float value_;
};

TEST(Engine, NotANumberIsNamedWithItsLayer) {
  const TemporaryDirectory directory;
  LanguageModel model = tiny();
  const auto refuses = [&](const std::string& parameter, const std::vector<std::string>& words) {
    model.parameters = std::make_shared<Spoilt>(parameter);
    NativeWriter writer(directory / "out", engine_shard_count(model));
    expect_error<c10::ValueError>(
        [&] { run_engine(model, block_plans(true), some_windows(), solver("gptq"), writer, {}); },
        words);
  };
  refuses("model.layers.0.self_attn.k_proj.weight",
          {"model.layers.0.self_attn.k_proj", "weight", "NaN"});
  refuses("model.layers.0.input_layernorm.weight",
          {"model.layers.0.self_attn.q_proj", "input", "NaN"});
}

TEST(Engine, AnInputThatFloat16DoesNotHoldIsInTheReport) {
  const TemporaryDirectory directory;
  LanguageModel model = tiny();
  const auto notes = [&](const std::string& out) {
    NativeWriter writer(directory / out, engine_shard_count(model));
    const auto report =
        run_engine(model, block_plans(true), some_windows(), solver("gptq"), writer, {});
    std::set<std::string> named;
    for (const LayerReport& layer : report.layers)
      for (const std::string& note : layer.notes)
        if (note.find("more than float16 holds (65504)") != std::string::npos)
          named.insert(layer.name);
    return named;
  };
  EXPECT_EQ(notes("plain"), std::set<std::string>{});
  model.parameters = std::make_shared<Spoilt>("model.layers.0.input_layernorm.weight", 1e7f);
  const auto named = notes("large");
  for (const std::string name : {"q_proj", "k_proj", "v_proj"})
    EXPECT_TRUE(named.contains("model.layers.0.self_attn." + name)) << name;
  EXPECT_FALSE(named.contains("model.layers.0.mlp.gate_proj"));
}

TEST(Engine, AQuantizedModelIsNotQuantizedAgain) {
  const TemporaryDirectory directory;
  write_text_file(directory / "laconic.json", "{}");
  LanguageModel model = tiny();
  model.directory = directory.path();
  NativeWriter writer(directory / "out", engine_shard_count(model));
  expect_error<c10::ValueError>([&] { run_engine(model, {}, {}, solver("nearest"), writer, {}); },
                                {"quantized already"});
}

}  // namespace
}  // namespace laconic
