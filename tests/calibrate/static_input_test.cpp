// Static inputs: their ranges come from the calibration windows, layer by layer.
#include <ATen/ATen.h>

#include "laconic/base/interrupt.h"
#include "laconic/calibrate/engine.h"
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

const QuantSpec kWeight = QuantSpec{}.let(PerChannel{.axis = 0});
const QuantSpec kSymmetric = QuantSpec{}.let(Scale(StaticScale{}));
const QuantSpec kAsymmetric =
    kSymmetric.let(IntFormat{.bit_width = 8, .is_signed = false}, MinMax{}, IntegerZeroPoint{});

std::vector<LayerPlan> block_plans(const QuantSpec& input) {
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : tiny().layers) {
    if (layer.name.find(".layers.") != std::string::npos)
      plans.push_back({layer, kWeight, input, false});
  }
  return plans;
}

SolvedLayer round_to_nearest(const LayerPlan& plan, const at::Tensor& weight,
                             const LayerStatistics&) {
  const auto parameters = find_parameters(plan.weight, weight);
  return {quantize_codes(plan.weight, weight, parameters), parameters, {}};
}

/// Parameters of the inputs that the engine stored, by tensor name.
std::map<std::string, at::Tensor> stored_inputs(const std::filesystem::path& out) {
  std::map<std::string, at::Tensor> found;
  for (const auto& entry : std::filesystem::directory_iterator(out.string() + ".partial")) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto shard = SafetensorsFile::open(entry.path());
    for (const auto& tensor : shard->entries()) {
      if (tensor.name.ends_with(".input_scale") || tensor.name.ends_with(".input_zero_point"))
        found[tensor.name] = shard->tensor(tensor.name).clone();
    }
  }
  return found;
}

std::map<std::string, at::Tensor> run(const std::filesystem::path& out, const QuantSpec& input,
                                      const EngineOptions& options = {}) {
  NativeWriter writer(out, engine_shard_count(tiny()));
  run_engine(tiny(), block_plans(input), some_windows(), round_to_nearest, writer, options);
  return stored_inputs(out);
}

void expect_equal(const std::map<std::string, at::Tensor>& a,
                  const std::map<std::string, at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
}

/// A layer's input in a whole run of the float network.
at::Tensor float_input(const std::string& name) {
  const graph::Runner runner(tiny().graph);
  for (const graph::LinearLayer& layer : tiny().layers) {
    if (layer.name != name) continue;
    graph::Environment environment = {{graph::Value{runner.graph().input(), 0}, some_windows()}};
    runner.run(0, layer.node, *tiny().parameters, environment, {layer.input});
    return environment.at(layer.input);
  }
  return {};
}

TEST(StaticInput, RangesOfTheFloatNetworkAreThoseOfAWholeRun) {
  const TemporaryDirectory directory;
  const auto symmetric = run(directory / "s", kSymmetric, {.quantized_inputs = false});
  const auto asymmetric = run(directory / "a", kAsymmetric, {.quantized_inputs = false});
  EXPECT_EQ(symmetric.size(), block_plans(kSymmetric).size());
  EXPECT_EQ(asymmetric.size(), 2 * block_plans(kSymmetric).size());
  for (const std::string name :
       {"model.layers.0.self_attn.k_proj", "model.layers.5.mlp.down_proj"}) {
    SCOPED_TRACE(name);
    const auto x = float_input(name);
    // Another batch is another order of float32 sums in the layers before.
    EXPECT_TRUE(at::allclose(symmetric.at(name + ".input_scale"), x.abs().max() / 127, 1e-4));
    const auto expected = find_parameters(kAsymmetric, x);
    EXPECT_TRUE(at::allclose(asymmetric.at(name + ".input_scale"), expected.scale, 1e-4));
    EXPECT_TRUE(at::equal(asymmetric.at(name + ".input_zero_point"), expected.zero_point));
  }
}

TEST(StaticInput, LayersBehindSeeTheQuantizedInputsOfThoseBefore) {
  const TemporaryDirectory directory;
  const QuantSpec rough = kSymmetric.let(IntFormat{.bit_width = 2});
  const auto fine = run(directory / "fine", kSymmetric), coarse = run(directory / "coarse", rough);
  const auto ratio = [&](const std::string& name) {
    return (coarse.at(name + ".input_scale") / fine.at(name + ".input_scale")).item<double>();
  };
  // The first input is the same, one step is 127 times larger; later ones are not.
  EXPECT_NEAR(ratio("model.layers.0.self_attn.q_proj"), 127, 0.01);
  EXPECT_GT(std::abs(ratio("model.layers.3.mlp.down_proj") - 127), 1);
}

TEST(StaticInput, LayersThatShareTheirInputShareItsRange) {
  const TemporaryDirectory directory;
  const auto found = run(directory / "out", kAsymmetric);
  for (const std::string tensor : {".input_scale", ".input_zero_point"}) {
    EXPECT_TRUE(at::equal(found.at("model.layers.2.self_attn.q_proj" + tensor),
                          found.at("model.layers.2.self_attn.v_proj" + tensor)));
  }
}

TEST(StaticInput, AResumedRunGivesTheSameNumbers) {
  const TemporaryDirectory directory;
  const auto whole = run(directory / "whole", kAsymmetric);
  EXPECT_THROW(run(directory / "cut", kAsymmetric, {.stop_after_blocks = 2}), Interrupted);
  expect_equal(whole, run(directory / "cut", kAsymmetric));
}

TEST(StaticInput, ChannelsHaveRangesOfTheirOwn) {
  const TemporaryDirectory directory;
  const auto found =
      run(directory / "out", kSymmetric.let(PerChannel{.axis = -1}), {.quantized_inputs = false});
  const std::string name = "model.layers.1.mlp.up_proj";
  const auto expected = float_input(name).abs().amax({0, 1}, true) / 127;
  EXPECT_TRUE(at::allclose(found.at(name + ".input_scale"), expected, 1e-4));
}

TEST(StaticInput, NeedsCalibrationWindows) {
  const TemporaryDirectory directory;
  NativeWriter writer(directory / "out", engine_shard_count(tiny()));
  expect_error<c10::ValueError>(
      [&] {
        run_engine(tiny(), block_plans(kSymmetric), at::Tensor(), round_to_nearest, writer, {});
      },
      {"calibration windows"});
}

}  // namespace
}  // namespace laconic
