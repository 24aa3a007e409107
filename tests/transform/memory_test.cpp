// What each transform says that it takes of memory, beside what it takes.
#include "laconic/transform/memory.h"

#include "laconic/base/memory.h"
#include "small_models.h"
#include "tests/testing/instrumented.h"

namespace laconic {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

/// The weights of its blocks alone are more than a plan adds for the program, 96 MiB.
nlohmann::json larger_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"vocab_size", 1024},
          {"hidden_size", 768},
          {"intermediate_size", 2688},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 12},
          {"num_key_value_heads", 6},
          {"rms_norm_eps", 1e-5},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 256},
          {"tie_word_embeddings", false}};
}

class MemoryOfTransforms : public ::testing::TestWithParam<Transform> {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    testing::small_model(directory_->path(), larger_config());
  }
  static void TearDownTestSuite() { delete directory_; }

  /// Folded, where streams are looked for.
  LanguageModel model() const {
    auto model = load_language_model(directory_->path(), {.resident = false});
    const std::string name = GetParam().name;
    if (name == "rotate" || name == "spin" || name == "permute")
      testing::transformed(model, "fold_norms");
    return model;
  }
  transform::TransformContext context(const LanguageModel& model) const {
    QuantSpec weight, input;
    weight.format = input.format = IntFormat{.bit_width = 4};
    weight.granularity = PerGroup{.axis = 1, .group_size = 128};
    input.granularity = PerToken{};
    auto context = testing::context_of(model, weight);
    for (const auto& [name, spec] : context.weights) context.inputs[name] = input;
    at::manual_seed(5);
    context.windows = at::randint(0, 1024, {16, 96}, at::kLong);
    context.working = directory_->path();
    return context;
  }
  /// Little of what takes long; as much memory as ever.
  nlohmann::json options() const {
    const std::map<std::string, nlohmann::json> few = {
        {"awq", {{"grid", 2}}},
        {"low_rank", {{"iterations", 1}}},
        {"magr", {{"steps", 2}}},
        {"spin", {{"steps", 1}, {"quantized_weights", true}}}};
    const auto found = few.find(GetParam().name);
    return found == few.end() ? nlohmann::json::object() : found->second;
  }
  /// The number that a refusal names.
  uint64_t least(const LanguageModel& model, transform::TransformContext context) const {
    context.host_memory = 1;
    std::string text;
    try {
      transform::plan_transform(model, GetParam(), options(), context, resident_bytes());
    } catch (const c10::ValueError& error) {
      text = error.what();
    }
    EXPECT_THAT(text, ::testing::HasSubstr("[transform " + std::string(GetParam().name) + "]"));
    EXPECT_THAT(text, ::testing::HasSubstr("--host-memory 1 B is too little"));
    const size_t end = text.find(" bytes; ");
    return end == std::string::npos ? 0 : std::stoull(text.substr(text.rfind('(', end) + 1));
  }

  static inline TemporaryDirectory* directory_ = nullptr;
};

constexpr uint64_t kOfTheProcess = 8 << 20;  // its heap is a little more or less each time

TEST_P(MemoryOfTransforms, StaysUnderTheLeastLimitThatIsNotRefused) {
  if (testing::kIsInstrumented) GTEST_SKIP() << "a sanitizer takes memory of its own";
  auto model = this->model();
  auto context = this->context(model);
  trim_heap();
  context.host_memory = least(model, context) + kOfTheProcess;
  ASSERT_GT(context.host_memory, kOfTheProcess);
  if (!reset_peak_resident_bytes()) GTEST_SKIP() << "the system counts no peak anew";
  const auto report = transform_model(model, GetParam(), options(), context);
  const uint64_t peak = peak_resident_bytes();
  RecordProperty("planned_mib", static_cast<int>(report.memory.planned_bytes >> 20));
  RecordProperty("peak_mib", static_cast<int>(peak >> 20));
  EXPECT_LE(report.memory.planned_bytes, context.host_memory);
  EXPECT_LE(peak, context.host_memory) << "planned " << report.memory.planned_bytes;
}

INSTANTIATE_TEST_SUITE_P(Every, MemoryOfTransforms, ::testing::ValuesIn(transforms()),
                         [](const auto& row) { return std::string(row.param.name); });

class MemoryOfWindows : public MemoryOfTransforms {};

TEST_P(MemoryOfWindows, FewerAtOnceAndOnDiskChangesNoBit) {
  auto free = model(), limited = model();
  auto context = this->context(free);
  EXPECT_EQ(transform_model(free, GetParam(), options(), context).memory.carried, KeptIn::kMemory);
  context.host_memory = least(limited, context) + kOfTheProcess;
  const auto report = transform_model(limited, GetParam(), options(), context);
  EXPECT_EQ(report.memory.carried, KeptIn::kDisk);
  EXPECT_LT(report.memory.batch, context.batch);
  EXPECT_GT(report.memory.spilled_bytes, 0u);
  for (const std::string& name : free.changed)
    EXPECT_TRUE(free.parameters->get(name).equal(limited.parameters->get(name))) << name;
}

// Without products and with them.
INSTANTIATE_TEST_SUITE_P(Looking, MemoryOfWindows,
                         ::testing::Values(find_transform("smooth"), find_transform("awq")),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(MemoryPlanOfTransforms, EveryTransformThatReadsWeightsSaysWhatItTakes) {
  for (const Transform& transform : transforms()) {
    const std::string name = transform.name;
    const bool reads = name != "biases" && name != "expand" && name != "fold_norms";
    EXPECT_EQ(transform.needs != nullptr, reads) << name;
  }
}

TEST(MemoryPlanOfTransforms, NamesTheLayerThatNeedsTheMost) {
  const TemporaryDirectory directory;
  const auto model = testing::small_model(
      directory.path(),
      testing::small_decoder().patch(nlohmann::json::parse(
          R"([{"op": "add", "path": "/architectures", "value": ["LlamaForCausalLM"]}])")));
  auto context = testing::context_of(model, QuantSpec{});
  context.host_memory = 1;
  expect_error<c10::ValueError>(
      [&] {
        transform::plan_transform(model, find_transform("awq"), nlohmann::json::object(), context,
                                  0);
      },
      {"[transform awq] --host-memory 1 B is too little", "down_proj", "calibration.length",
       "leave the transform out"});
}

}  // namespace
}  // namespace laconic
