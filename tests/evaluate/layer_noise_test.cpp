#include "laconic/evaluate/layer_noise.h"

#include <ATen/ops/randint.h>
#include <ATen/ops/randn_like.h>

#include <cmath>

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::expect_error;

const LanguageModel& small_model() {
  static const LanguageModel model = load_language_model(testing::repository() / "assets/tiny-lm");
  return model;
}

/// tiny-lm with a weight of another value.
LanguageModel with_weight(const std::string& name, const at::Tensor& value) {
  LanguageModel model = small_model();
  model.parameters = std::make_shared<graph::OverlaidParameters>(
      *small_model().parameters, std::map<std::string, at::Tensor>{{name, value}});
  return model;
}

at::Tensor some_ids() {
  at::manual_seed(1);
  return at::randint(0, small_model().vocabulary_size, {2, 16}, at::kLong);
}

/// The place of a layer among the layers of the blocks.
size_t place_of(const std::vector<LayerNoise>& layers, const std::string& name) {
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].name == name) return i;
  }
  ADD_FAILURE() << name;
  return 0;
}

TEST(LayerNoise, OfOneChangedWeightIsInThatLayerAndReachesTheLayersBehindIt) {
  const at::NoGradGuard no_gradient;
  const std::string changed = "model.layers.2.self_attn.o_proj";
  const at::Tensor weight = small_model().parameters->get(changed + ".weight");
  // Noise of a hundredth of the signal: 20 dB.
  at::manual_seed(2);
  const at::Tensor noise = at::randn_like(weight);
  const at::Tensor other = weight + noise * (0.1 * weight.norm() / noise.norm());
  const LanguageModel model = with_weight(changed + ".weight", other);
  LayerNoiseMeter meter(model, small_model());
  meter.add(some_ids());
  const auto layers = meter.result();
  ASSERT_EQ(layers.size(), 42u);  // those of the blocks: the head is none of them
  const size_t place = place_of(layers, changed);
  EXPECT_NEAR(layers[place].weight, 20, 1e-3);
  for (size_t i = 0; i < layers.size(); ++i) {
    SCOPED_TRACE(layers[i].name);
    EXPECT_EQ(std::isinf(layers[i].weight), i != place);
    EXPECT_EQ(std::isinf(layers[i].output), i < place);
  }
}

TEST(LayerNoise, OfOutputsEqualsThePlainMeaningOverAllBatches) {
  const at::NoGradGuard no_gradient;
  const std::string name = "model.layers.1.mlp.down_proj";
  const std::string first = "model.layers.0.self_attn.q_proj.weight";
  const LanguageModel model = with_weight(first, small_model().parameters->get(first) * 0.8);
  const at::Tensor ids = some_ids();
  LayerNoiseMeter meter(model, small_model());
  meter.add(ids.narrow(0, 0, 1));
  meter.add(ids.narrow(0, 1, 1));
  const auto layers = meter.result();
  const auto output = [&](const LanguageModel& one) {
    for (const graph::LinearLayer& layer : one.layers) {
      if (layer.name != name) continue;
      graph::Environment environment{{graph::Value{one.graph.input(), 0}, ids}};
      graph::Runner(one.graph).run(0, layer.node + 1, *one.parameters, environment,
                                   {graph::Value{layer.node, 0}});
      return environment.at(graph::Value{layer.node, 0});
    }
    return at::Tensor();
  };
  const at::Tensor x = output(small_model()), error = x - output(model);
  const double expected = 20 * std::log10(x.norm().item<double>() / error.norm().item<double>());
  EXPECT_NEAR(layers[place_of(layers, name)].output, expected, 0.01);  // sums in another order
}

TEST(LayerNoise, AModelOfOtherLayersIsRefused) {
  LanguageModel other = small_model();
  other.layers.erase(other.layers.begin() + 3);
  expect_error<c10::ValueError>([&] { LayerNoiseMeter(small_model(), other); },
                                {small_model().layers[3].name, "float model"});
  const std::string name = small_model().layers[0].weight_name;
  const LanguageModel narrow =
      with_weight(name, small_model().parameters->get(name).narrow(0, 0, 64));
  expect_error<c10::ValueError>([&] { LayerNoiseMeter(narrow, small_model()); },
                                {small_model().layers[0].name, "[256, 256]", "[64, 256]"});
}

}  // namespace
}  // namespace laconic
