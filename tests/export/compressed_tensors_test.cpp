#include "laconic/export/compressed_tensors/compressed_tensors.h"

#include "laconic/export/compressed_tensors/scheme.h"
#include "laconic/file/json/json.h"
#include "tests/export/small_llama.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::small_layers;
using laconic::testing::TemporaryDirectory;
using laconic::testing::write_small_llama;
using ::testing::HasSubstr;

QuantSpec spec_of(int bits, int64_t group_size) {
  return {.format = IntFormat{.bit_width = bits},
          .granularity = PerGroup{.axis = 1, .group_size = group_size}};
}

// Code i of a row of the stored words, by the format's definition: bits [i * b, i * b + b) hold the
// signed code plus 2^(b - 1).
int64_t code_at(const at::Tensor& words, int64_t row, int64_t i, int64_t bits) {
  int64_t code = 0;
  for (int64_t bit = 0; bit < bits; ++bit) {
    const int64_t at = i * bits + bit;
    const auto word = static_cast<uint32_t>(words[row][at / 32].item<int32_t>());
    code |= static_cast<int64_t>(word >> (at % 32) & 1) << bit;
  }
  return code - (int64_t{1} << (bits - 1));
}

TEST(CompressedTensors, ANegativeCodeLeavesItsNeighboursAlone) {
  for (const int bits : {2, 3, 4, 8}) {
    SCOPED_TRACE(bits);
    const TemporaryDirectory directory;
    const auto native = write_small_llama(directory / "n", spec_of(bits, 32));
    const NativeLayer& layer = native->layers()[0];
    const auto codes = native->codes(layer);
    ASSERT_LT(codes.min().item<int64_t>(), 0);
    const auto tensors = compressed_layer(*native, layer);
    EXPECT_EQ(tensors[0].first, layer.name + ".weight_packed");
    for (int64_t i = 0; i < 64; ++i)
      ASSERT_EQ(code_at(tensors[0].second, 5, i, bits), codes[5][i].item<int64_t>()) << i;
  }
}

TEST(CompressedTensors, AnEmbeddingIsRefused) {
  auto layers = small_layers(spec_of(4, 32));
  layers.push_back({.name = "model.embed_tokens",
                    .weight_name = "model.embed_tokens.weight",
                    .weight = spec_of(4, 32),
                    .shape = {96, 64},
                    .is_embedding = true});
  const auto found = compressed_tensors_obstacles({}, layers);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0], HasSubstr("layer model.embed_tokens is an embedding"));
  EXPECT_THAT(found[0], HasSubstr("skip: true"));
}

TEST(CompressedTensors, WhatTheFormatCannotHoldIsNamedWithAWayOut) {
  const auto first = [](const QuantSpec& spec) {
    const auto found = compressed_tensors_obstacles({}, small_layers(spec));
    return found.empty() ? "" : found[0];
  };
  EXPECT_EQ(first(spec_of(4, 32)), "");
  EXPECT_THAT(first(spec_of(4, 48)), HasSubstr("group_size that divides"));
  QuantSpec spec = spec_of(4, 32);
  spec.zero_point = FloatZeroPoint{};
  EXPECT_THAT(first(spec), HasSubstr("(and 6 more) has a zero point that is no code"));
  spec = spec_of(4, 32);
  spec.granularity = PerChannel{.axis = 1};
  EXPECT_THAT(first(spec), HasSubstr("axis: 0"));
  auto layers = small_layers(spec_of(4, 32));
  layers[2].transposed = true;
  EXPECT_THAT(compressed_tensors_obstacles({}, layers).at(0),
              HasSubstr("v_proj is stored [in, out]"));
  layers = small_layers(spec_of(4, 32));
  layers[0].input = QuantSpec{.granularity = PerTensor{}};
  EXPECT_THAT(compressed_tensors_obstacles({}, layers).at(0), HasSubstr("granularity: token"));
  EXPECT_THAT(compressed_tensors_obstacles({}, {}).at(0), HasSubstr("no layer is quantized"));
}

TEST(CompressedTensors, AMixtureOfExpertsIsRefused) {
  nlohmann::json config = {{"num_local_experts", 8}};
  EXPECT_THAT(compressed_tensors_obstacles(config, small_layers(spec_of(4, 32))),
              ::testing::ElementsAre(HasSubstr("experts of a mixture")));
}

TEST(CompressedTensors, OnlyAnEarlierExportIsReplacedAndOnlyWhenTold) {
  const TemporaryDirectory directory;
  const auto native = write_small_llama(directory / "n", spec_of(4, 32));
  const auto write = [&](const std::string& name, bool overwrite) {
    return write_compressed_tensors(*native, directory / name, overwrite);
  };
  write("ct", false);
  EXPECT_EQ(read_json_file(directory / "ct" / "config.json").at("torch_dtype"), "float32");
  EXPECT_TRUE(std::filesystem::exists(directory / "ct" / "tokenizer.json"));
  expect_error<c10::ValueError>([&] { write("ct", false); }, {"ct", "--overwrite"});
  write("ct", true);
  expect_error<c10::ValueError>([&] { write("n", true); }, {"never overwritten"});
  EXPECT_FALSE(std::filesystem::exists(directory / "ct.partial"));
}

TEST(Exporters, AnUnknownNameBringsTheNearest) {
  expect_error<c10::ValueError>([] { find_exporter("guff"); }, {"\"guff\"", "gguf"});
}

TEST(Exporters, ALayerThatRepeatsAReasonIsCounted) {
  const auto layers = small_layers(spec_of(4, 40));
  const auto found = find_exporter("compressed-tensors").obstacles({}, layers);
  ASSERT_EQ(found.size(), 2U) << "rows of 64 and of 96 weights";
  EXPECT_THAT(found[0], HasSubstr("q_proj (and 5 more) has rows of 64"));
  EXPECT_THAT(found[1], HasSubstr("down_proj has rows of 96"));
}

}  // namespace
}  // namespace laconic
