#include "laconic/export/gguf/network.h"

#include <ATen/ops/arange.h>

#include <nlohmann/json.hpp>

#include "tests/export/small_llama.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::small_config;
using nlohmann::json;
using ::testing::HasSubstr;

template <typename T>
T key(const GgufNetwork& network, const std::string& name) {
  for (const auto& [key, value] : network.keys) {
    if (key == network.architecture + "." + name) return std::get<T>(value);
  }
  ADD_FAILURE() << name << " is absent";
  return {};
}

json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

TEST(GgufNetwork, AnArchitectureThatIsNotWrittenIsRefused) {
  const auto network = read_network(
      {{"architectures", {"Gemma2ForCausalLM"}}, {"vocab_size", 4}, {"num_hidden_layers", 1}});
  ASSERT_EQ(network.obstacles.size(), 1u);
  EXPECT_NE(network.obstacles[0].find("Gemma2ForCausalLM: no GGUF file"), std::string::npos);
}

TEST(GgufNetwork, LlamaHasTheKeysThatItsLoaderAsksFor) {
  const auto network = read_network(with(small_config(), {{"rope_theta", 5e5}}));
  EXPECT_EQ(network.architecture, "llama");
  EXPECT_EQ(key<uint32_t>(network, "context_length"), 128U);
  EXPECT_EQ(key<uint32_t>(network, "attention.head_count"), 2U);
  EXPECT_EQ(key<uint32_t>(network, "attention.head_count_kv"), 1U);
  EXPECT_EQ(key<uint32_t>(network, "attention.key_length"), 32U);
  EXPECT_EQ(key<float>(network, "rope.freq_base"), 5e5F);
  EXPECT_TRUE(network.is_tied);
}

TEST(GgufNetwork, RopeScalingIsWrittenAsLlamaCppReadsIt) {
  const auto linear = read_network(
      with(small_config(), {{"rope_scaling", {{"rope_type", "linear"}, {"factor", 4.0}}}}));
  EXPECT_EQ(key<std::string>(linear, "rope.scaling.type"), "linear");
  EXPECT_EQ(key<float>(linear, "rope.scaling.factor"), 4.0F);
  const auto yarn = read_network(
      with(small_config(),
           {{"rope_scaling",
             {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}}}}));
  EXPECT_EQ(key<std::string>(yarn, "rope.scaling.type"), "yarn");
  EXPECT_EQ(key<uint32_t>(yarn, "rope.scaling.original_context_length"), 32U);
  const auto llama3 =
      read_network(with(small_config(), {{"rope_scaling",
                                          {{"rope_type", "llama3"},
                                           {"factor", 8.0},
                                           {"low_freq_factor", 1.0},
                                           {"high_freq_factor", 4.0},
                                           {"original_max_position_embeddings", 64}}}}));
  ASSERT_EQ(llama3.rope_divisors.size(), 16U);
  EXPECT_EQ(llama3.rope_divisors.front(), 1.0F) << "fast features turn as before";
  EXPECT_NEAR(llama3.rope_divisors.back(), 8.0F, 1e-4) << "slow ones by the factor";
}

TEST(GgufNetwork, WhatLlamaCppLacksIsAnObstacle) {
  const auto opt = read_network({{"architectures", json::array({"OPTForCausalLM"})}});
  EXPECT_THAT(opt.obstacles.at(0), HasSubstr("OPTForCausalLM"));
  EXPECT_THAT(opt.obstacles.at(0), HasSubstr("compressed-tensors"));
  const json gpt2 = {{"architectures", json::array({"GPT2LMHeadModel"})},
                     {"n_embd", 64},
                     {"n_layer", 1},
                     {"n_head", 2},
                     {"vocab_size", 6},
                     {"n_positions", 32},
                     {"layer_norm_epsilon", 1e-5},
                     {"activation_function", "relu"}};
  EXPECT_THAT(read_network(gpt2).obstacles.at(0), HasSubstr("activation_function is relu"));
  const json qwen3 = with(small_config(), {{"architectures", json::array({"Qwen3ForCausalLM"})},
                                           {"attention_bias", true}});
  EXPECT_THAT(read_network(qwen3).obstacles.at(0), HasSubstr("attention_bias"));
  const json window = with(small_config(), {{"architectures", json::array({"MistralForCausalLM"})},
                                            {"sliding_window", 16}});
  EXPECT_THAT(read_network(window).notes.at(0), HasSubstr("beyond 16 tokens"));
}

TEST(GgufNetwork, ATensorWithoutAPlaceIsRefused) {
  const auto network = read_network(small_config());
  EXPECT_EQ(place_of(small_config(), network, "model.layers.0.mlp.up_proj.weight")->name,
            "blk.0.ffn_up.weight");
  EXPECT_FALSE(place_of(small_config(), network, "lm_head.weight")) << "tied";
  for (const char* name : {"model.layers.1.mlp.up_proj.weight", "model.layers.0.mlp.extra.weight",
                           "model.layers.-1.mlp.up_proj.weight", "weight"}) {
    expect_error<c10::ValueError>([&] { place_of(small_config(), network, name); },
                                  {name, "has no place"});
  }
}

TEST(GgufNetwork, RowsAreReorderedHeadByHead) {
  GgufNetwork network;
  network.heads = 2;
  network.kv_heads = 1;
  const auto rows = at::arange(12).view({12, 1});
  const auto order = [&](RowOrder kind) {
    const auto moved = reordered(rows, kind, network).flatten();
    return std::vector<int64_t>(moved.const_data_ptr<int64_t>(),
                                moved.const_data_ptr<int64_t>() + 12);
  };
  EXPECT_THAT(order(RowOrder::kQueryPairs),
              ::testing::ElementsAre(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11));
  EXPECT_THAT(order(RowOrder::kKeyPairs),
              ::testing::ElementsAre(0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11));
  EXPECT_THAT(order(RowOrder::kQkvParts),
              ::testing::ElementsAre(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11));
  expect_error<c10::ValueError>(
      [&] { reordered(rows.narrow(0, 0, 10), RowOrder::kQkvParts, network); },
      {"10 rows", "2 heads"});
}

}  // namespace
}  // namespace laconic
