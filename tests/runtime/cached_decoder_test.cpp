#include "laconic/runtime/cached_decoder.h"

#include <ATen/ATen.h>

#include "laconic/graph/attention_quantizers.h"
#include "laconic/load/language_model.h"
#include "tests/testing/random_model.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::random_config;
using laconic::testing::TemporaryDirectory;
using laconic::testing::write_random_model;
using nlohmann::json;

// Sums of float32 products in another order, over three layers.
constexpr double kTolerance = 1e-4;

LanguageModel model_of(json config) {
  const TemporaryDirectory directory;
  write_random_model(config, directory / "m");
  return load_language_model(directory / "m");
}

at::Tensor some_ids(int64_t batch, int64_t length) {
  at::manual_seed(3);
  return at::randint(0, 61, {batch, length}, at::kLong);
}

/// The largest difference between a text in pieces of these lengths and the text so far at once.
double difference(const LanguageModel& model, const std::vector<int64_t>& pieces) {
  const CachedDecoder decoder(model.graph, model.parameters);
  const graph::Runner runner(model.graph);
  const at::Tensor ids = some_ids(2, 20);
  Decoding decoding(decoder);
  double largest = 0;
  for (const int64_t piece : pieces) {
    const int64_t past = decoding.length();
    const at::Tensor logits = decoding.extend(ids.narrow(1, past, piece));
    const at::Tensor whole = runner(ids.narrow(1, 0, past + piece), *model.parameters);
    largest = std::max(largest, (logits - whole.narrow(1, past, piece)).abs().max().item<double>());
  }
  return largest;
}

json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

std::vector<std::pair<std::string, json>> models() {
  const json experts = {{"num_local_experts", 4}, {"num_experts_per_tok", 2}};
  const json gpt2 = {{"architectures", {"GPT2LMHeadModel"}},
                     {"vocab_size", 61},
                     {"n_embd", 32},
                     {"n_layer", 2},
                     {"n_head", 4},
                     {"n_positions", 64},
                     {"activation_function", "gelu_new"},
                     {"layer_norm_epsilon", 1e-5}};
  const json opt = {{"architectures", {"OPTForCausalLM"}},
                    {"vocab_size", 61},
                    {"hidden_size", 32},
                    {"ffn_dim", 48},
                    {"num_hidden_layers", 2},
                    {"num_attention_heads", 4},
                    {"max_position_embeddings", 64},
                    {"word_embed_proj_dim", 32},
                    {"activation_function", "relu"},
                    {"do_layer_norm_before", true}};
  std::vector<double> factors(4, 2.0), ones(4, 1.0);
  const json longrope = {{"rope_scaling",
                          {{"rope_type", "longrope"},
                           {"short_factor", ones},
                           {"long_factor", factors},
                           {"original_max_position_embeddings", 12}}}};
  const json dynamic = {{"max_position_embeddings", 12},
                        {"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 4.0}}}};
  return {
      {"Llama", random_config("LlamaForCausalLM")},
      {"Mistral with a window", with(random_config("MistralForCausalLM"), {{"sliding_window", 5}})},
      {"Gemma 2",
       with(random_config("Gemma2ForCausalLM"), {{"head_dim", 8}, {"sliding_window", 4}})},
      {"Gemma 3", with(random_config("Gemma3ForCausalLM"),
                       {{"head_dim", 8}, {"sliding_window", 4}, {"sliding_window_pattern", 2}})},
      {"Mixtral", with(random_config("MixtralForCausalLM"), experts)},
      {"Phi-3, longrope", with(random_config("Phi3ForCausalLM"), longrope)},
      {"Llama, dynamic rope", with(random_config("LlamaForCausalLM"), dynamic)},
      {"GPT-2", gpt2},
      {"OPT", opt},
  };
}

TEST(CachedDecoder, GivesTheLogitsOfTheWholeTextHoweverItIsCut) {
  for (const auto& [name, config] : models()) {
    SCOPED_TRACE(name);
    const LanguageModel model = model_of(config);
    EXPECT_LE(difference(model, std::vector<int64_t>(20, 1)), kTolerance);
    EXPECT_LE(difference(model, {9, 1, 1, 1, 1, 1, 1, 1}), kTolerance);
    EXPECT_LE(difference(model, {3, 7, 1, 5, 4}), kTolerance);
  }
}

graph::Graph quantized_everywhere(const graph::Graph& graph,
                                  const graph::AttentionQuantizers& quantizers) {
  std::map<std::string, graph::AttentionQuantizers> all;
  for (const auto& module : graph::attention_modules(graph)) all[module] = quantizers;
  return graph::place_attention_quantizers(graph, all);
}

QuantSpec dynamic(int bits, const Granularity& granularity) {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = bits};
  spec.granularity = granularity;
  return spec;
}

graph::AttentionQuantizers few_bits(int64_t residual) {
  QuantSpec values = dynamic(4, PerGroup{.axis = -1, .group_size = 4});
  values.format = IntFormat{.bit_width = 4, .is_signed = false};
  values.scale = StatisticScale{{.statistic = MinMax{}}};
  values.zero_point = IntegerZeroPoint{};
  return {.queries = {}, .keys = dynamic(4, PerToken{}), .values = values, .residual = residual};
}

TEST(CachedDecoder, KeepsQuantizedKeysAndValuesAsTheGraphDoes) {
  // One layer: with more, a code that rounds the other way would show behind it.
  const auto one = with(random_config("LlamaForCausalLM"), {{"num_hidden_layers", 1}});
  const auto windowed =
      with(random_config("MistralForCausalLM"), {{"num_hidden_layers", 1}, {"sliding_window", 6}});
  for (const json& config : {one, windowed})
    for (const int64_t residual : {0, 1, 4, 30}) {
      SCOPED_TRACE(config["architectures"][0].get<std::string>() + std::to_string(residual));
      LanguageModel model = model_of(config);
      const graph::Graph whole = model.graph;
      model.graph = quantized_everywhere(model.graph, few_bits(residual));
      EXPECT_LE(difference(model, {9, 1, 1, 1, 1, 1, 1, 1}), kTolerance);
      EXPECT_LE(difference(model, {3, 7, 1, 5, 4}), kTolerance);
      const auto ids = some_ids(2, 20);
      const auto change = (graph::Runner(model.graph)(ids, *model.parameters) -
                           graph::Runner(whole)(ids, *model.parameters))
                              .abs()
                              .max()
                              .item<double>();
      // A window that sees all in float changes nothing but the order of sums.
      if (residual == 30)
        EXPECT_LE(change, kTolerance);
      else
        EXPECT_GT(change, 0.01);
    }
}

TEST(CachedDecoder, QuantizesProbabilitiesAsTheGraphDoes) {
  const auto one = with(random_config("LlamaForCausalLM"), {{"num_hidden_layers", 1}});
  const auto windowed =
      with(random_config("MistralForCausalLM"), {{"num_hidden_layers", 1}, {"sliding_window", 6}});
  for (const json& config : {one, windowed}) {
    SCOPED_TRACE(config["architectures"][0].get<std::string>());
    LanguageModel model = model_of(config);
    const graph::Graph whole = model.graph;
    const auto change = [&](int bits) {
      auto quantizers = few_bits(0);
      if (bits == 16) quantizers = {};
      quantizers.probabilities = dynamic(bits, PerToken{});
      model.graph = quantized_everywhere(whole, quantizers);
      const auto ids = some_ids(2, 20);
      return (graph::Runner(model.graph)(ids, *model.parameters) -
              graph::Runner(whole)(ids, *model.parameters))
          .abs()
          .max()
          .item<double>();
    };
    // With many bits the two halves are the whole.
    EXPECT_LE(change(16), 1e-3);
    EXPECT_GT(change(3), 0.01);
    EXPECT_LE(difference(model, {9, 1, 1, 1, 1, 1, 1, 1}), kTolerance);
    EXPECT_LE(difference(model, {3, 7, 1, 5, 4}), kTolerance);
  }
}

TEST(CachedDecoder, HoldsCodesInAsFewBitsAsTheyHave) {
  auto model = model_of(random_config("LlamaForCausalLM"));
  const graph::Graph whole = model.graph;
  const auto bytes = [&] {
    const CachedDecoder decoder(model.graph, model.parameters);
    Decoding decoding(decoder);
    decoding.extend(some_ids(1, 40));
    return static_cast<double>(decoding.bytes());
  };
  const double floats = bytes();
  // Heads of 8 take 32 bytes in float; codes and four bytes of the scale instead.
  const std::map<int, double> expected = {{8, 8 + 4}, {5, 5 + 4}, {4, 4 + 4}, {3, 3 + 4}, {2, 6}};
  for (const auto& [bits, with_scale] : expected) {
    SCOPED_TRACE(bits);
    const auto few = dynamic(bits, PerToken{});
    model.graph =
        quantized_everywhere(whole, {.queries = {}, .keys = few, .values = few, .residual = 0});
    EXPECT_NEAR(bytes() / floats, with_scale / 32.0, 1e-9);
  }
}

TEST(CachedTensor, GivesBackWhatTheComposedQuantizerGivesBitForBit) {
  at::manual_seed(7);
  QuantSpec float4 = dynamic(4, PerToken{});
  float4.format = e2m1();
  QuantSpec bytes = dynamic(8, PerToken{});
  std::vector<QuantSpec> specs = {*few_bits(0).values, *few_bits(0).keys, float4, bytes};
  for (const int bits : {2, 3, 5, 6, 7}) specs.push_back(dynamic(bits, PerToken{}));
  for (const QuantSpec& spec : specs) {
    SCOPED_TRACE(to_string(spec));
    // 12 codes of 3, 5, 7 bits end inside of a byte.
    const at::Tensor x = at::randn({2, 3, 9, 12});
    CachedTensor cache({spec, 0});
    for (const at::Tensor& part : x.split(4, 2)) cache.append(part);
    const auto parameters = find_parameters(spec, x);
    EXPECT_TRUE(
        cache.quantized().equal(dequantize(spec, quantize_codes(spec, x, parameters), parameters)));
    cache.keep_last(5);
    EXPECT_EQ(cache.quantized().size(2), 5);
  }
}

TEST(CachedDecoderFault, AScaleThatTokensShareIsRefused) {
  auto model = model_of(random_config("LlamaForCausalLM"));
  for (const Granularity& shared :
       {Granularity(PerTensor{}), Granularity(PerChannel{.axis = -1})}) {
    const auto graph = quantized_everywhere(
        model.graph, {.queries = {}, .keys = dynamic(4, shared), .values = {}, .residual = 0});
    expect_error<c10::ValueError>([&] { CachedDecoder(graph, model.parameters); },
                                  {"[decode]", "scale for each token"});
  }
  const auto once = quantized_everywhere(model.graph, few_bits(0));
  expect_error<c10::ValueError>([&] { quantized_everywhere(once, few_bits(0)); },
                                {"not quantized yet"});
}

TEST(CachedDecoder, ForgetsWhatLiesBeforeTheWindow) {
  const auto model = model_of(with(random_config("MistralForCausalLM"), {{"sliding_window", 5}}));
  const CachedDecoder decoder(model.graph, model.parameters);
  Decoding decoding(decoder);
  uint64_t early = 0;
  for (int64_t i = 0; i < 60; ++i) {
    decoding.extend(some_ids(1, 1));
    if (i == 20) early = decoding.bytes();
  }
  EXPECT_EQ(decoding.length(), 60);
  EXPECT_EQ(decoding.bytes(), early);
}

TEST(CachedDecoderFault, ATextOfNothingAndAnotherBatchAreRefused) {
  const auto model = model_of(random_config("LlamaForCausalLM"));
  const CachedDecoder decoder(model.graph, model.parameters);
  Decoding decoding(decoder);
  expect_error<c10::ValueError>([&] { decoding.extend(some_ids(1, 0)); },
                                {"[decode]", "1 or more"});
  decoding.extend(some_ids(2, 3));
  expect_error<c10::ValueError>([&] { decoding.extend(some_ids(1, 3)); }, {"same batch"});
}

TEST(CachedDecoderFault, AGraphWithoutAttentionIsRefused) {
  auto model = model_of(random_config("LlamaForCausalLM"));
  graph::Graph graph;
  graph.nodes.push_back({graph::NodeKind::kInput, "input_ids", "", {}});
  graph.nodes.push_back({graph::NodeKind::kOutput, "output", "", {graph::Value{0, 0}}});
  expect_error<c10::ValueError>([&] { CachedDecoder(graph, model.parameters); }, {"no attention"});
}

}  // namespace
}  // namespace laconic
