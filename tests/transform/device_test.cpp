// Transforms whose network runs on a CUDA device against the same on the CPU.
#include "small_models.h"

namespace laconic {
namespace {

using testing::context_of;
using testing::difference;
using testing::every_config;
using testing::logits_of;
using testing::small_model;
using testing::transformed;

/// Products take 10 bits there.
constexpr double kProducts = 2e-2;

QuantSpec four_bits(const Granularity& granularity) {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 4};
  spec.granularity = granularity;
  return spec;
}

struct Case {
  const char* transform;
  nlohmann::json options;
  bool same_function = true;
};

std::vector<Case> cases() {
  return {{"smooth", {}},
          {"awq", {{"grid", 4}, {"clip", false}}},
          {"awq", {{"grid", 4}}, false},
          {"magr", {{"steps", 5}}, false},
          {"permute", {{"block_size", 16}}},
          {"low_rank", {{"rank", 4}, {"iterations", 2}}},
          {"spin", {{"steps", 3}, {"batch", 4}}}};
}

at::Tensor logits_after(const Case& one, at::Device device, const std::string& architecture) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), every_config()[architecture]);
  transformed(model, "fold_norms");
  auto context = context_of(model, four_bits(PerGroup{.axis = 1, .group_size = 8}));
  for (const auto& [name, spec] : context.weights) context.inputs[name] = four_bits(PerToken{});
  context.device = device;
  transform_model(model, find_transform(one.transform),
                  one.options.is_null() ? nlohmann::json::object() : one.options, context);
  return logits_of(model);
}

TEST(TransformsOnCuda, LeaveInMainMemoryWhatTheyDoOnTheCpu) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA in this build or machine";
  for (const char* architecture : {"LlamaForCausalLM", "OPTForCausalLM"})
    for (const Case& one : cases()) {
      SCOPED_TRACE(std::string(one.transform) + " of " + architecture);
      const auto here = logits_after(one, at::kCPU, architecture);
      const at::Device cuda(at::kCUDA, 0);
      const auto there = logits_after(one, cuda, architecture);
      ASSERT_TRUE(there.is_cpu());
      EXPECT_LT(difference(there, here), one.same_function ? 1e-3 : kProducts);
      EXPECT_TRUE(logits_after(one, cuda, architecture).equal(there)) << "another time";
    }
}

// On CUDA where that is: learning refuses there what has no fixed order of sums.
TEST(TransformsOnCuda, LearnRotationsOfEveryArchitectureAlikeEachTime) {
  const at::Device device = at::hasCUDA() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  const Case spin{"spin", {{"steps", 2}, {"batch", 2}, {"rate", 10}, {"quantized_weights", true}}};
  for (const auto& [name, config] : every_config()) {
    if (name.starts_with("Gemma")) continue;  // norms behind its blocks keep their gains
    SCOPED_TRACE(name);
    EXPECT_TRUE(logits_after(spin, device, name).equal(logits_after(spin, device, name)));
  }
}

}  // namespace
}  // namespace laconic
