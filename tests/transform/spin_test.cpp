#include "laconic/calibrate/data.h"
#include "laconic/transform/rotate/learn.h"
#include "small_models.h"

namespace laconic {
namespace {

using testing::context_of;
using testing::difference;
using testing::every_config;
using testing::expect_error;
using testing::logits_of;
using testing::small_configs;
using testing::small_model;
using testing::transformed;

QuantSpec four_bit_tokens() {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 4};
  spec.granularity = PerToken{};
  return spec;
}

transform::TransformContext with_inputs(const LanguageModel& model) {
  auto context = context_of(model, QuantSpec{});
  for (const auto& [name, spec] : context.weights) context.inputs[name] = four_bit_tokens();
  return context;
}

// Fixed points in single precision leave a little more than one product does.
constexpr double kLearned = 1e-4;

TEST(Spin, EveryArchitectureComputesTheSame) {
  for (const auto& [name, config] : small_configs()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    const auto before = logits_of(model);
    transformed(model, "fold_norms");
    transform_model(model, find_transform("spin"), {{"steps", 3}, {"online", true}},
                    with_inputs(model));
    EXPECT_LT(difference(logits_of(model), before), kLearned);
  }
}

/// A real network: on text, what a trained one loses falls with the error of its inputs.
struct Learned {
  Learned() : model(load_language_model(testing::repository() / "assets/tiny-lm")) {
    transformed(model, "fold_norms");
    network = {model.graph, model.parameters};
    transform::untie(network);
    network.context = with_inputs(model);
    // Few bits: what there is to win is far more than the noise of steps through quantizers.
    for (auto& [name, spec] : network.context.inputs) spec.format = IntFormat{.bit_width = 3};
    const auto text = testing::repository() / "assets/text/calibration.txt";
    network.context.windows =
        load_calibration(text, model.tokenizer.get(), model.vocabulary_size, {4, 48, 0, ""})
            .windows;
    const auto streams = transform::find_streams(network);
    const auto stream = std::find_if(streams.begin(), streams.end(),
                                     [](const auto& one) { return one.is_rotatable(); });
    region.size = stream->width;
    for (const auto& parts : {stream->sources, stream->sinks})
      for (const auto& part : parts) region.sites.push_back({part, {}});
  }
  transform::LearningOutcome learn(const transform::RotationLearning& options) {
    return transform::learn_rotations(network, {region}, options);
  }
  at::Tensor weight() const { return network.parameters->get(region.sites[0].part.parameter); }

  LanguageModel model;
  transform::FloatNetwork network;
  transform::LearnedRegion region;
};

TEST(Spin, LearningLowersTheLossOfTheQuantizedNetwork) {
  Learned one;
  const auto outcome = one.learn({.steps = 12, .batch = 2, .rate = 1.5});
  EXPECT_LT(outcome.loss_after, outcome.loss_before);
  EXPECT_GT(outcome.best_step, 0);
  // What was measured is what the network became, but for the rounding of its weights.
  EXPECT_NEAR(one.learn({.steps = 1, .batch = 4}).loss_before, outcome.loss_after, 1e-2);
}

TEST(Spin, NeverEndsWorseThanItBegan) {
  Learned one;
  const auto first = one.learn({.steps = 8, .batch = 2, .rate = 1e4});
  EXPECT_LE(first.loss_after, first.loss_before);
  EXPECT_EQ(first.best_step == 0, first.loss_after == first.loss_before);
  // From what was learned up the loss instead of down: all that follows is worse.
  one.learn({.steps = 8, .batch = 2, .rate = 1.5});
  const at::Tensor before = one.weight().clone();
  const auto outcome = one.learn({.steps = 4, .batch = 2, .rate = -1.5});
  EXPECT_EQ(outcome.best_step, 0);
  EXPECT_EQ(outcome.loss_after, outcome.loss_before);
  EXPECT_TRUE(one.weight().equal(before));
}

TEST(Spin, SaysWhenItStaysWithTheRotationsOfTheStart) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["MistralForCausalLM"]);
  transformed(model, "fold_norms");
  const auto report = transform_model(model, find_transform("spin"),
                                      {{"steps", 2}, {"rate", 1e-30}}, with_inputs(model));
  ASSERT_EQ(report.fallbacks.size(), 1u);
  EXPECT_THAT(report.fallbacks[0], ::testing::HasSubstr("stay as rotate made them: 2 steps"));
}

TEST(Spin, WithoutQuantizersOrWindowsSaysWhatIsMissing) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["MistralForCausalLM"]);
  transformed(model, "fold_norms");
  expect_error<c10::ValueError>(
      [&] {
        transform_model(model, find_transform("spin"), nlohmann::json::object(),
                        context_of(model, QuantSpec{}));
      },
      {"[transform spin]", "quantizes inputs", "quantized_weights"});
  auto context = with_inputs(model);
  context.windows = at::Tensor();
  expect_error<c10::ValueError>(
      [&] { transform_model(model, find_transform("spin"), nlohmann::json::object(), context); },
      {"[transform spin]", "calibration windows", "--calibration"});
}

}  // namespace
}  // namespace laconic
