#include <cstring>

#include "laconic/export/gguf/gguf_export.h"
#include "laconic/export/gguf/storage.h"
#include "laconic/export/gguf/super_block_storage.h"
#include "laconic/file/gguf/block.h"
#include "laconic/quant/quantizer/block_formats.h"
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

TEST(GgufExport, AnEmbeddingThatReadersDoNotKnowIsRefused) {
  NativeLayer table{.name = "model.embed_tokens",
                    .weight_name = "model.embed_tokens.weight",
                    .weight = gguf_spec(4),
                    .shape = {64, 64},
                    .is_embedding = true};
  const auto found = [&](const nlohmann::json& config) {
    return gguf_obstacles(config, {table}, GgufPrecision::kExact);
  };
  EXPECT_TRUE(found(small_config()).empty());
  table.weight = nvfp4();
  ASSERT_EQ(found(small_config()).size(), 1u);
  EXPECT_THAT(found(small_config())[0],
              HasSubstr("layer model.embed_tokens is an embedding in NVFP4"));
  table.name = "transformer.wpe";
  table.weight = gguf_spec(4);
  const nlohmann::json gpt2 = {{"architectures", {"GPT2LMHeadModel"}},
                               {"vocab_size", 61},
                               {"n_embd", 64},
                               {"n_layer", 2},
                               {"n_head", 4},
                               {"n_positions", 64},
                               {"layer_norm_epsilon", 1e-5},
                               {"activation_function", "gelu_new"}};
  ASSERT_EQ(found(gpt2).size(), 1u);
  EXPECT_THAT(found(gpt2)[0], HasSubstr("layer transformer.wpe is an embedding of positions"));
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

struct SuperCase {
  QuantSpec spec;
  GgufType type;
};

QuantSpec half_scales(const Format& format, int64_t group_size) {
  return QuantSpec{}.let(format, PerGroup{.axis = -1, .group_size = group_size},
                         Restriction(StoredAs{}));
}

std::vector<SuperCase> super_cases() {
  const TableFormat nonlinear{table_of(GgufType::IQ4_NL)};
  const IntFormat narrow{.bit_width = 2, .narrow_range = true};
  return {{super_block_with_minimum({2, 16, 4, 16}), GgufType::Q2_K},
          {super_block({3, 16, 6, 16}), GgufType::Q3_K},
          {super_block_with_minimum({4, 32, 6, 8}), GgufType::Q4_K},
          {super_block_with_minimum({5, 32, 6, 8}), GgufType::Q5_K},
          {super_block({6, 16, 8, 16}), GgufType::Q6_K},
          {super_block({2, 32, 5, 8}), GgufType::Q3_K},
          {super_block({4, 64, 8, 4}), GgufType::Q6_K},
          {super_block_with_minimum({3, 64, 4, 4}), GgufType::Q4_K},
          {half_scales(nonlinear, 32), GgufType::IQ4_NL},
          {half_scales(TernaryFormat{}, 256), GgufType::TQ1_0},
          {half_scales(narrow, 256), GgufType::TQ2_0},
          {half_scales(narrow, 32), GgufType::Q4_0},
          {mx(e2m1()), GgufType::MXFP4}};
}

TEST(GgufExport, EverySuperBlockHoldsTheSolvedNumbers) {
  for (const SuperCase& super_case : super_cases()) {
    const QuantSpec& spec = super_case.spec;
    SCOPED_TRACE(to_string(spec));
    const TemporaryDirectory directory;
    const auto native = write_small_llama(directory / "n", spec, 8);
    write_gguf(*native, directory / "n.gguf", false, GgufPrecision::kExact);
    const auto file = GgufFile::open(directory / "n.gguf");
    const auto check = [&](const std::string& name, const at::Tensor& expected) {
      EXPECT_EQ(file->find(name)->type, super_case.type);
      const auto found = read(*file, name);
      // A minimum is a float32 zero point times a scale here, the product of two numbers there.
      const double tolerance = std::holds_alternative<NoZeroPoint>(spec.zero_point) ? 0 : 1e-6;
      EXPECT_LE((found - expected).abs().max().item<double>(), tolerance) << name;
    };
    const auto weight = [&](const std::string& name) {
      return native->dequantized(*native->find("model.layers.0." + name));
    };
    check("blk.0.ffn_down.weight", weight("mlp.down_proj"));
    check("blk.0.attn_q.weight", interleaved(weight("self_attn.q_proj"), 2));
  }
}

TEST(GgufExport, Nvfp4HasTheLayersFloatInATensorOfItsOwn) {
  const TemporaryDirectory directory;
  for (const float constant : {0.F, 1.F}) {
    QuantSpec scales = QuantSpec{}.let(Format(e4m3()));
    if (constant > 0) scales = scales.let(Scale(ConstantScale{constant}));
    const QuantSpec spec = nvfp4().let(Restriction(QuantizedBy{scales}));
    SCOPED_TRACE(to_string(spec));
    const auto native = write_small_llama(directory / std::to_string(constant), spec, 8);
    write_gguf(*native, directory / "n.gguf", true, GgufPrecision::kExact);
    const auto file = GgufFile::open(directory / "n.gguf");
    EXPECT_EQ(file->find("blk.0.ffn_down.weight")->type, GgufType::NVFP4);
    float scale = 0;
    std::memcpy(&scale, file->data("blk.0.ffn_down.scale").data(), sizeof(scale));
    EXPECT_EQ(scale == 1, constant == 1);
    const auto expected = native->dequantized(*native->find("model.layers.0.mlp.down_proj"));
    // One product is rounded before the other one here, the other one there.
    EXPECT_TRUE(at::allclose(read(*file, "blk.0.ffn_down.weight") * scale, expected, 3e-7, 0));
  }
}

TEST(GgufExport, UnitsAreFoundWhereThereAreAny) {
  const auto codes = at::tensor({63, 1, 7, 30, 0, 0, 0, 0}, at::kInt).view({1, 8});
  const auto unit = at::tensor({0.0123, 3.0}).to(at::kHalf).view({1, 2});
  const auto values = codes.to(at::kFloat) * unit.to(at::kFloat).repeat_interleave(4, 1);
  const auto found = find_units(values, 4, 63, 0);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(at::equal(found->codes.to(at::kInt), codes));
  EXPECT_TRUE(at::equal(found->unit.select(1, 0), unit.select(1, 0)));
  EXPECT_FALSE(find_units(values + 1e-3, 4, 63, 0).has_value());
  EXPECT_TRUE(find_units(values * (1 + 1e-7), 4, 63, 1e-6).has_value());
}

TEST(GgufExport, WhatNoSuperBlockHoldsIsNamedWithAWayOut) {
  const auto found = [](const QuantSpec& spec, int64_t times) {
    return gguf_obstacles(small_config(times), small_layers(spec, times), GgufPrecision::kExact);
  };
  EXPECT_TRUE(found(super_block({6, 16, 8, 16}), 8).empty());
  EXPECT_THAT(found(super_block({6, 16, 8, 16}), 1).at(0),
              AllOf(HasSubstr("rows of 64"), HasSubstr("Q6_K stores blocks of 256"),
                    HasSubstr("gguf-q8_0")));
  EXPECT_THAT(found(super_block({7, 16, 8, 16}), 8).at(0), HasSubstr("gguf-q*_k"));
  EXPECT_THAT(found(super_block({6, 16, 8, 8}), 8).at(0), HasSubstr("under a float16 for 256"));
  EXPECT_THAT(found(half_scales(TernaryFormat{}, 64), 8).at(0), HasSubstr("group_size: 256"));
  EXPECT_THAT(found(mx(e2m3()), 8).at(0), HasSubstr("gguf-nvfp4"));
  EXPECT_THAT(found(half_scales(nf4(), 32), 8).at(0), HasSubstr("gguf-iq4_nl"));
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
