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

TEST(Spin, LearningLowersTheLossOfTheQuantizedNetwork) {
  // A real one: on text, what a trained network loses falls with the error of its inputs.
  auto model = load_language_model(testing::repository() / "assets/tiny-lm");
  transformed(model, "fold_norms");
  transform::FloatNetwork network{model.graph, model.parameters};
  transform::untie(network);
  network.context = with_inputs(model);
  // Few bits: what there is to win is far more than the noise of steps through quantizers.
  for (auto& [name, spec] : network.context.inputs) spec.format = IntFormat{.bit_width = 3};
  const auto text = testing::repository() / "assets/text/calibration.txt";
  network.context.windows =
      load_calibration(text, model.tokenizer.get(), model.vocabulary_size, {4, 48, 0, ""}).windows;
  const auto streams = transform::find_streams(network);
  const auto stream = std::find_if(streams.begin(), streams.end(),
                                   [](const auto& one) { return one.is_rotatable(); });
  ASSERT_NE(stream, streams.end());
  transform::LearnedRegion region{{}, stream->width};
  for (const auto& parts : {stream->sources, stream->sinks})
    for (const auto& part : parts) region.sites.push_back({part, {}});
  const auto outcome =
      transform::learn_rotations(network, {region}, {.steps = 12, .batch = 2, .rate = 1.5});
  EXPECT_LT(outcome.loss_after, outcome.loss_before);
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
