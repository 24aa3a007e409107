#include <ATen/ATen.h>

#include "laconic/file/gguf/gguf.h"
#include "laconic/file/gguf/super_block.h"
#include "laconic/file/json/json.h"
#include "laconic/graph/run.h"
#include "laconic/load/language_model.h"
#include "laconic/recipe/pipeline.h"
#include "tests/testing/random_model.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::expect_error;
using testing::repository;
using testing::TemporaryDirectory;

constexpr const char* kTable = "model.embed_tokens.weight";

QuantizeOutcome quantize_by(const std::string& rules, const std::filesystem::path& model,
                            const std::filesystem::path& out) {
  return run_quantize(
      {.model = model, .recipe = parse_recipe("rules: [" + rules + "]", "r.yaml"), .out = out});
}

at::Tensor logits_of(const LanguageModel& model, const graph::Parameters& parameters) {
  const c10::InferenceMode no_gradient;
  const auto ids = (at::arange(48) * 7 % model.vocabulary_size).reshape({2, 24});
  return graph::Runner(model.graph)(ids, parameters);
}

/// The float model with its table fake-quantized by a rule's weight.
at::Tensor expected_logits(const std::filesystem::path& directory, const std::string& rule) {
  const LanguageModel model = load_language_model(directory);
  const Recipe recipe = parse_recipe("rules: [" + rule + "]", "r.yaml");
  const at::Tensor table = model.parameters->get(kTable);
  return logits_of(model, graph::OverlaidParameters(
                              *model.parameters,
                              {{kTable, fake_quantize_dynamic(*recipe.rules[0].weight, table)}}));
}

at::Tensor native_logits(const std::filesystem::path& directory, bool resident) {
  const LanguageModel model = load_language_model(directory, {.resident = resident});
  return logits_of(model, *model.parameters);
}

/// A small untied Llama with rows of 32 numbers.
std::filesystem::path random_llama(const TemporaryDirectory& directory) {
  testing::write_random_model(testing::random_config("LlamaForCausalLM"), directory / "m");
  return directory / "m";
}

TEST(QuantizedEmbedding, RunsAsTheFakeQuantizedNetworkBitForBit) {
  const TemporaryDirectory directory;
  const auto model = random_llama(directory);
  int number = 0;
  for (const std::string weight :
       {"{bits: 8, granularity: channel}", "{bits: 4, granularity: group, group_size: 16}",
        "{bits: 3, granularity: tensor}", "{bits: 4, granularity: channel, axis: 1}",
        "{bits: 4, granularity: group, axis: 0, group_size: 61}",
        "{bits: 4, signed: false, zero_point: integer, statistic: min_max, granularity: channel}",
        "{format: e2m1, granularity: group, group_size: 32, restriction: power_of_two}"}) {
    SCOPED_TRACE(weight);
    const std::string rule = "{layers: '*embed_tokens*', weight: " + weight + "}";
    const auto out = directory / ("q" + std::to_string(++number));
    const auto outcome = quantize_by(rule, model, out);
    EXPECT_EQ(outcome.report.layers.size(), 1u);
    EXPECT_EQ(outcome.size.quantized_parameters, 61 * 32);
    const auto expected = expected_logits(model, rule);
    EXPECT_TRUE(at::equal(native_logits(out, true), expected));
    EXPECT_TRUE(at::equal(native_logits(out, false), expected));
  }
}

TEST(QuantizedEmbedding, OfATiedModelServesTheHeadToo) {
  const TemporaryDirectory directory;
  const auto model = repository() / "assets/tiny-lm";
  const std::string weight = "weight: {bits: 4, granularity: group, group_size: 64}}";
  const std::string rule = "{layers: [embedding, head], " + weight;
  const auto outcome = quantize_by(rule, model, directory / "q");
  EXPECT_EQ(outcome.size.parameters, measure_size(model).parameters);
  EXPECT_TRUE(at::equal(native_logits(directory / "q", true), expected_logits(model, rule)));
  EXPECT_FALSE(at::equal(native_logits(directory / "q", true), native_logits(model, true)));
  const auto manifest = read_json_file(directory / "q/laconic.json");
  ASSERT_EQ(manifest["layers"].size(), 1u);
  EXPECT_EQ(manifest["layers"][0]["embedding"], true);
  EXPECT_EQ(manifest["report"]["layers"][0]["notes"].size(), 1u);
}

TEST(QuantizedEmbedding, OfATiedModelIsRefusedWithoutItsHeadBeforeAnyWork) {
  const TemporaryDirectory directory;
  const auto model = repository() / "assets/tiny-lm";
  expect_error<c10::ValueError>(
      [&] { quantize_by("{layers: embedding, weight: {bits: 8}}", model, directory / "q"); },
      {"model.embed_tokens", "is tied to \"lm_head\"", "[embedding, head]", "fold_norms"});
  expect_error<c10::ValueError>(
      [&] {
        quantize_by("{layers: embedding, weight: {bits: 8}}, {layers: head, weight: {bits: 4}}",
                    model, directory / "q");
      },
      {"model.embed_tokens and lm_head share the weight", "untie them"});
  EXPECT_FALSE(std::filesystem::exists((directory / "q").string() + ".partial"));
}

TEST(QuantizedEmbedding, OfAnUntiedModelLeavesTheHeadAlone) {
  const TemporaryDirectory directory;
  const auto recipe = parse_recipe(
      "transforms: [{name: fold_norms}]\nrules: [{layers: embedding, weight: {bits: 8}}]",
      "r.yaml");
  run_quantize(
      {.model = repository() / "assets/tiny-lm", .recipe = recipe, .out = directory / "q"});
  const auto native = NativeDirectory::open(directory / "q");
  EXPECT_NE(native->find("model.embed_tokens"), nullptr);
  EXPECT_TRUE(native->tensors().has("lm_head.weight"));
  EXPECT_LT(
      (native_logits(directory / "q", true) - native_logits(repository() / "assets/tiny-lm", true))
          .abs()
          .max()
          .item<double>(),
      0.5);
}

TEST(QuantizedEmbedding, WithAStoredCopyOfTheTiedHeadIsTheHead) {
  const TemporaryDirectory directory;
  auto config = testing::random_config("LlamaForCausalLM");
  config["tie_word_embeddings"] = true;
  testing::write_random_model(config, directory / "m");
  const auto file = SafetensorsFile::open(directory / "m/model.safetensors");
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const SafetensorsEntry& entry : file->entries())
    tensors.emplace_back(entry.name, file->tensor(entry.name).clone());
  tensors.emplace_back("lm_head.weight", file->tensor(kTable).clone());
  write_safetensors(directory / "m/model.safetensors", tensors);
  const std::string rule = "{layers: [embedding, head], weight: {bits: 3}}";
  quantize_by(rule, directory / "m", directory / "q");
  EXPECT_FALSE(NativeDirectory::open(directory / "q")->tensors().has("lm_head.weight"));
  EXPECT_TRUE(
      at::equal(native_logits(directory / "q", true), expected_logits(directory / "m", rule)));
}

TEST(QuantizedEmbedding, BecomesTheBlocksThatTheRecipeAsksFor) {
  const TemporaryDirectory directory;
  const auto q6_k = load_recipe(
      "gguf-q6_k", std::vector<std::string>{"rules.0.layers=[blocks, embedding, head]"});
  run_quantize({.model = repository() / "assets/tiny-lm",
                .recipe = q6_k,
                .out = directory / "q",
                .exports = {"gguf"}});
  const auto file = GgufFile::open(directory / "q.gguf");
  EXPECT_EQ(file->find("token_embd.weight")->type, GgufType::Q6_K);
  EXPECT_EQ(file->find("blk.0.attn_q.weight")->type, GgufType::Q6_K);
  EXPECT_EQ(file->find("output.weight"), nullptr);
  const auto native = NativeDirectory::open(directory / "q");
  const auto bytes = file->data("token_embd.weight");
  const auto raw = at::from_blob(const_cast<std::byte*>(bytes.data()),
                                 {4096, static_cast<int64_t>(bytes.size()) / 4096}, at::kByte);
  EXPECT_TRUE(at::equal(unpack_super_blocks(GgufType::Q6_K, raw),
                        native->dequantized(*native->find("model.embed_tokens"))));
}

}  // namespace
}  // namespace laconic
