#include "laconic/export/gguf/gguf_export.h"
#include "laconic/export/gguf/storage.h"
#include "laconic/file/gguf/block.h"
#include "tests/export/small_llama.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::gguf_spec;
using laconic::testing::small_config;
using laconic::testing::small_layers;
using laconic::testing::TemporaryDirectory;
using laconic::testing::write_small_llama;
using ::testing::AllOf;
using ::testing::HasSubstr;

at::Tensor read(const GgufFile& file, const std::string& name) {
  const GgufTensor& tensor = *file.find(name);
  const auto bytes = file.data(name);
  const int64_t rows = tensor.shape[0];
  const auto raw = at::from_blob(const_cast<std::byte*>(bytes.data()),
                                 {rows, static_cast<int64_t>(bytes.size()) / rows}, at::kByte);
  return unpack_blocks(tensor.type, raw);
}

// What llama.cpp's rotary embedding wants of a query or key weight.
at::Tensor interleaved(const at::Tensor& weight, int64_t heads) {
  return weight.view({heads, 2, weight.size(0) / heads / 2, -1}).transpose(1, 2).reshape_as(weight);
}

std::vector<std::string> obstacles_of(const QuantSpec& spec) {
  return gguf_obstacles(small_config(), small_layers(spec), GgufPrecision::kExact);
}

TEST(GgufExport, AFileHoldsTheSolvedNumbersBitForBit) {
  for (const auto& [bits, type] : {std::pair{4, GgufType::Q4_0}, std::pair{3, GgufType::Q4_0},
                                   std::pair{5, GgufType::Q5_0}, std::pair{8, GgufType::Q8_0}}) {
    SCOPED_TRACE(bits);
    const TemporaryDirectory directory;
    const auto native = write_small_llama(directory / "n", gguf_spec(bits));
    write_gguf(*native, directory / "n.gguf", false, GgufPrecision::kExact);
    const auto file = GgufFile::open(directory / "n.gguf");
    const auto weight = [&](const std::string& name) {
      return native->dequantized(*native->find("model.layers.0." + name));
    };
    EXPECT_EQ(file->find("blk.0.ffn_down.weight")->type, type);
    EXPECT_TRUE(at::equal(read(*file, "blk.0.ffn_down.weight"), weight("mlp.down_proj")));
    EXPECT_TRUE(
        at::equal(read(*file, "blk.0.attn_q.weight"), interleaved(weight("self_attn.q_proj"), 2)));
    EXPECT_TRUE(
        at::equal(read(*file, "blk.0.attn_k.weight"), interleaved(weight("self_attn.k_proj"), 1)));
    EXPECT_FALSE(at::equal(read(*file, "blk.0.attn_q.weight"), weight("self_attn.q_proj")));
    EXPECT_EQ(file->find("output.weight"), nullptr) << "the head is tied";
  }
}

TEST(GgufExport, AStoredMinimumBecomesQ4_1) {
  QuantSpec spec = gguf_spec(4);
  spec.format = IntFormat{.bit_width = 4, .is_signed = false};
  spec.scale = StatisticScale{{.statistic = MinMax{}, .restriction = StoredAs{}}};
  spec.zero_point = StoredMinimum{};
  const TemporaryDirectory directory;
  const auto native = write_small_llama(directory / "n", spec);
  write_gguf(*native, directory / "n.gguf", false, GgufPrecision::kExact);
  const auto file = GgufFile::open(directory / "n.gguf");
  EXPECT_EQ(file->find("blk.0.ffn_up.weight")->type, GgufType::Q4_1);
  EXPECT_TRUE(at::equal(read(*file, "blk.0.ffn_up.weight"),
                        native->dequantized(*native->find("model.layers.0.mlp.up_proj"))));
}

TEST(GgufExport, AScaleForALongerRowIsRepeatedExactly) {
  QuantSpec spec = gguf_spec(8);
  spec.granularity = PerChannel{.axis = 0};
  const TemporaryDirectory directory;
  const auto native = write_small_llama(directory / "n", spec);
  write_gguf(*native, directory / "n.gguf", false, GgufPrecision::kExact);
  EXPECT_TRUE(at::equal(read(*GgufFile::open(directory / "n.gguf"), "blk.0.ffn_down.weight"),
                        native->dequantized(*native->find("model.layers.0.mlp.down_proj"))));
}

TEST(GgufExport, WhatBlocksCannotHoldIsNamedWithAWayOut) {
  QuantSpec spec = gguf_spec(4);
  EXPECT_TRUE(obstacles_of(spec).empty());
  spec.scale = StatisticScale{};
  ASSERT_EQ(obstacles_of(spec).size(), 1U) << "one sentence for all layers";
  EXPECT_THAT(obstacles_of(spec)[0],
              AllOf(HasSubstr("model.layers.0.self_attn.q_proj (and 6 more)"),
                    HasSubstr("any float"), HasSubstr("gguf-q4_0")));
  spec = gguf_spec(4);
  spec.granularity = PerGroup{.axis = 1, .group_size = 16};
  EXPECT_THAT(obstacles_of(spec).at(0),
              AllOf(HasSubstr("groups of 16"), HasSubstr("group_size: 32")));
  spec.granularity = PerGroup{.axis = 0, .group_size = 32};
  EXPECT_THAT(obstacles_of(spec).at(0), HasSubstr("axis: 1"));
  spec.granularity = PerChannel{.axis = 1};
  EXPECT_THAT(obstacles_of(spec).at(0), HasSubstr("each input channel"));
  spec = gguf_spec(8);
  spec.zero_point = IntegerZeroPoint{};
  EXPECT_THAT(obstacles_of(spec).at(0), HasSubstr("asymmetric with 8 bits"));
  spec.zero_point = FloatZeroPoint{};
  EXPECT_THAT(obstacles_of(spec).at(0), HasSubstr("stored_minimum"));
  auto layers = small_layers(gguf_spec(4));
  layers[3].shape = {64, 40};
  layers[5].input = QuantSpec{};
  const auto found = gguf_obstacles(small_config(), layers, GgufPrecision::kExact);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_THAT(found[0], AllOf(HasSubstr("o_proj has rows of 40"), HasSubstr("skip")));
  EXPECT_THAT(found[1],
              AllOf(HasSubstr("up_proj has a quantized input"), HasSubstr("compressed-tensors")));
}

TEST(GgufExport, NothingIsWrittenForAModelThatDoesNotFit) {
  QuantSpec spec = gguf_spec(4);
  spec.scale = StatisticScale{};
  const TemporaryDirectory directory;
  const auto native = write_small_llama(directory / "n", spec);
  expect_error<c10::NotImplementedError>(
      [&] { write_gguf(*native, directory / "n.gguf", false, GgufPrecision::kExact); },
      {"[gguf]", "any float"});
  EXPECT_FALSE(std::filesystem::exists(directory / "n.gguf"));
}

TEST(GgufExport, AFileThatIsThereIsKeptUnlessTold) {
  const TemporaryDirectory directory;
  const auto native = write_small_llama(directory / "n", gguf_spec(4));
  const auto write = [&](bool overwrite) {
    return write_gguf(*native, directory / "n.gguf", overwrite, GgufPrecision::kF16);
  };
  write(false);
  expect_error<c10::ValueError>([&] { write(false); }, {"n.gguf", "--overwrite"});
  EXPECT_GT(write(true).bytes, 0U);
  expect_error<c10::ValueError>(
      [&] { write_gguf(*native, directory.path(), true, GgufPrecision::kF16); }, {"directory"});
}

}  // namespace
}  // namespace laconic
