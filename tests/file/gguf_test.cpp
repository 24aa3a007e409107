#include "laconic/file/gguf/gguf.h"

#include <cstring>

#include "laconic/file/gguf/block.h"
#include "laconic/file/gguf/super_block.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;

template <typename T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}
std::string text(const std::string& value) { return raw<uint64_t>(value.size()) + value; }
std::string front(uint64_t tensors, uint64_t pairs) {
  return "GGUF" + raw<uint32_t>(3) + raw(tensors) + raw(pairs);
}
std::string pair(const std::string& key, int32_t type, const std::string& value) {
  return text(key) + raw(type) + value;
}

struct Info {
  std::string name = "a";
  std::vector<uint64_t> sides = {4};
  int32_t type = 0;
  uint64_t offset = 0;
};
std::string info(const Info& i) {
  std::string bytes = text(i.name) + raw(static_cast<uint32_t>(i.sides.size()));
  for (const uint64_t side : i.sides) bytes += raw(side);
  return bytes + raw(i.type) + raw(i.offset);
}

GgufHeader parse_gguf(std::string bytes, size_t data = 0) {
  bytes.append((32 - bytes.size() % 32) % 32 + data, '\0');
  return parse_gguf_header(std::as_bytes(std::span(bytes)), "x.gguf");
}
void refuse(const std::string& bytes, std::vector<std::string> words, size_t data = 64) {
  words.push_back("[gguf] x.gguf");
  expect_error<c10::ValueError>([&] { parse_gguf(bytes, data); }, words);
}

TEST(GgufHeader, RefusesAFrontThatIsNotGguf) {
  refuse("GGML" + std::string(28, '\0'), {"letters GGUF"});
  refuse("GGUF" + raw<uint32_t>(1) + std::string(16, '\0'), {"version 2 or 3", "got 1"});
  refuse("GGUF" + std::string("\0\0\0\3", 4) + std::string(16, '\0'), {"big-endian"});
  expect_error<c10::ValueError>([] { parse_gguf_header({}, "x"); },
                                {"magic at offset 0", "cut short"});
}

TEST(GgufHeader, RefusesCountsAndLengthsThatTheFileHasNoRoomFor) {
  refuse(front(~uint64_t{0}, 0), {"number of tensors at offset 8", "18446744073709551615"});
  refuse(front(0, uint64_t{1} << 60), {"number of keys at offset 16"});
  refuse(front(0, 1) + raw<uint64_t>(1'000'000), {"key number 0", "expected 1000000 more bytes"});
  refuse(front(0, 1) + pair("k", 8, raw(~uint64_t{0})), {"key \"k\"", "more bytes"});
  refuse(front(0, 1) + pair("k", 9, raw<int32_t>(0) + raw(~uint64_t{0})), {"key \"k\" (length)"});
  refuse(front(0, 1) + pair("k", 9, raw<int32_t>(8) + raw<uint64_t>(1000)),
         {"key \"k\" (length)", "got 1000"});
}

TEST(GgufHeader, RefusesBadValues) {
  refuse(front(0, 1) + pair("k", 13, ""), {"key \"k\"", "type from 0 to 12", "got 13"});
  refuse(front(0, 1) + pair("k", -1, ""), {"key \"k\"", "got -1"});
  refuse(front(0, 1) + pair("k", 7, "\2"), {"key \"k\"", "expected a bool", "got 2"});
  refuse(front(0, 2) + pair("k", 0, "\1") + pair("k", 0, "\1"), {"\"k\" at offset", "twice"});
  refuse(front(0, 1) + pair("general.alignment", 4, raw<uint32_t>(0)),
         {"general.alignment", "power of two"});
  refuse(front(0, 1) + pair("general.alignment", 4, raw<uint32_t>(24)), {"general.alignment"});
  refuse(front(0, 1) + pair("general.alignment", 5, raw<int32_t>(32)), {"general.alignment"});
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += raw<int32_t>(9) + raw<uint64_t>(1);
  refuse(front(0, 1) + pair("k", 9, nested), {"key \"k\"", "nested at most 4"});
}

TEST(GgufHeader, RefusesBadTensors) {
  refuse(front(1, 0) + info({.sides = {1, 1, 1, 1, 1}}), {"\"a\"", "at most 4 dimensions, got 5"});
  refuse(front(1, 0) + info({.sides = {0}}), {"\"a\"", "sides >= 1", "got 0"});
  refuse(front(1, 0) + info({.sides = {uint64_t{1} << 33, uint64_t{1} << 33}}), {"\"a\"", "2^60"});
  refuse(front(1, 0) + info({.type = 4}), {"\"a\"", "Q4_0", "number 4"});
  refuse(front(1, 0) + info({.sides = {33}, .type = 2}),
         {"\"a\"", "multiple of 32 for Q4_0", "got 33"});
  refuse(front(1, 0) + info({.offset = 32}), {"\"a\"", "offset 0", "got 32"});
  refuse(front(1, 0) + info({.sides = {1024}}), {"\"a\"", "cut short"});
  refuse(front(1, 0) + info({.name = std::string(64, 'n')}), {"below 64 bytes, got 64"});
  refuse(front(2, 0) + info({}) + info({.offset = 32}), {"\"a\"", "twice"});
  refuse(front(2, 0) + info({}) + info({.name = "b", .offset = 16}),
         {"\"b\"", "offset 32", "got 16"});
  EXPECT_EQ(
      parse_gguf(front(2, 0) + info({}) + info({.name = "b", .offset = 32}), 64).tensors.size(),
      2u);
}

void write_example(const std::filesystem::path& path) {
  GgufWriter writer(path);
  writer.put("general.architecture", std::string("test"));
  writer.put("u8", uint8_t{200});
  writer.put("i8", int8_t{-100});
  writer.put("u16", uint16_t{60000});
  writer.put("i16", int16_t{-30000});
  writer.put("u32", uint32_t{4'000'000'000});
  writer.put("i32", int32_t{-2'000'000'000});
  writer.put("f32", 1.5F);
  writer.put("bool", true);
  writer.put("u64", ~uint64_t{0});
  writer.put("i64", int64_t{-5});
  writer.put("f64", 0.1);
  writer.put("strings", GgufArray{std::vector<std::string>{"", "a\xff", "b"}});
  writer.put("bools", GgufArray{std::vector<bool>{true, false}});
  writer.put("floats", GgufArray{std::vector<float>{1, -2}});
  writer.put("nested", GgufArray{std::vector<GgufArray>{{std::vector<int32_t>{1, 2}},
                                                        {std::vector<int32_t>{}}}});
  writer.declare("a", GgufType::F32, {3});
  writer.declare("b", GgufType::F16, {2, 5});
  const std::vector<float> a = {1, 2, 3};
  writer.write(std::as_bytes(std::span(a)));
  const std::vector<c10::Half> row = {1, 2, 3, 4, 5};
  writer.write(std::as_bytes(std::span(row)));
  writer.write(std::as_bytes(std::span(row)));
  writer.commit();
}

TEST(Gguf, EveryValueTypeComesBack) {
  const TemporaryDirectory directory;
  write_example(directory / "x.gguf");
  const auto file = GgufFile::open(directory / "x.gguf");
  EXPECT_EQ(file->get<uint8_t>("u8"), 200);
  EXPECT_EQ(file->get<int8_t>("i8"), -100);
  EXPECT_EQ(file->get<uint16_t>("u16"), 60000);
  EXPECT_EQ(file->get<int16_t>("i16"), -30000);
  EXPECT_EQ(file->get<uint32_t>("u32"), 4'000'000'000);
  EXPECT_EQ(file->get<int32_t>("i32"), -2'000'000'000);
  EXPECT_EQ(file->get<float>("f32"), 1.5F);
  EXPECT_TRUE(file->get<bool>("bool"));
  EXPECT_EQ(file->get<uint64_t>("u64"), ~uint64_t{0});
  EXPECT_EQ(file->get<int64_t>("i64"), -5);
  EXPECT_EQ(file->get<double>("f64"), 0.1);
  EXPECT_THAT(std::get<std::vector<std::string>>(file->get<GgufArray>("strings").items),
              ::testing::ElementsAre("", "a\xff", "b"));
  EXPECT_EQ(std::get<std::vector<bool>>(file->get<GgufArray>("bools").items),
            (std::vector<bool>{true, false}));
  EXPECT_EQ(std::get<std::vector<GgufArray>>(file->get<GgufArray>("nested").items).size(), 2u);
  expect_error<c10::ValueError>([&] { file->get<float>("u8"); }, {"\"u8\"", "another type"});
  expect_error<c10::ValueError>([&] { file->get<float>("absent"); }, {"\"absent\""});
}

TEST(Gguf, TensorsAreAlignedAndComeBack) {
  const TemporaryDirectory directory;
  write_example(directory / "x.gguf");
  const auto file = GgufFile::open(directory / "x.gguf");
  EXPECT_EQ(file->find("b")->shape, (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(file->find("b")->offset, 32u);
  EXPECT_EQ(file->find("c"), nullptr);
  EXPECT_EQ(file->header().data_offset % 32, 0u);
  const auto bytes = file->data("b");
  c10::Half last;
  std::memcpy(&last, bytes.data() + bytes.size() - 2, 2);
  EXPECT_EQ(static_cast<float>(last), 5.0F);
  expect_error<c10::ValueError>([&] { file->data("c"); }, {"\"c\""});
}

TEST(Gguf, EveryTruncationIsRefused) {
  const TemporaryDirectory directory;
  write_example(directory / "x.gguf");
  const std::string bytes = read_text_file(directory / "x.gguf");
  const auto whole = parse_gguf_header(std::as_bytes(std::span(bytes)), "x");
  const uint64_t end = whole.data_offset + whole.tensors.back().offset + whole.tensors.back().bytes;
  for (size_t length = 0; length < end; ++length) {
    EXPECT_THROW(parse_gguf_header(std::as_bytes(std::span(bytes).first(length)), "x"),
                 c10::ValueError)
        << length;
  }
}

TEST(GgufWriter, RefusesWhatNoReaderTakesAndLeavesNothing) {
  const TemporaryDirectory directory;
  {
    GgufWriter writer(directory / "x.gguf");
    writer.put("k", 1.0F);
    expect_error<c10::ValueError>([&] { writer.put("k", 2.0F); }, {"\"k\" twice"});
    writer.declare("a", GgufType::F32, {4});
    expect_error<c10::ValueError>([&] { writer.declare("a", GgufType::F32, {4}); },
                                  {"\"a\" twice"});
    expect_error<c10::ValueError>(
        [&] {
          writer.declare("b", GgufType::Q4_0, {2, 33});
        },
        {"\"b\"", "multiple of 32"});
    expect_error<c10::ValueError>([&] { writer.declare("b", GgufType::F32, {0}); }, {"\"b\""});
    expect_error<c10::ValueError>([&] { writer.declare(std::string(64, 'n'), GgufType::F32, {1}); },
                                  {"1 to 63 bytes"});
    expect_error<c10::Error>([&] { writer.commit(); }, {"tensor a was not written"});
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

constexpr std::array kIntegerTypes = {GgufType::Q4_0, GgufType::Q4_1, GgufType::Q5_0,
                                      GgufType::Q5_1, GgufType::Q8_0};

TEST(GgufBlocks, HoldEveryCodeAndScale) {
  for (const GgufType type : kIntegerTypes) {
    SCOPED_TRACE(block_of(type).name);
    const auto [q_min, q_max] = block_range(type);
    const auto q = at::randint(q_min, q_max + 1, {7, 96}).to(q_min < 0 ? at::kChar : at::kByte);
    const auto scale = at::rand({7, 3}).to(at::kHalf);
    const bool has_minimum = type == GgufType::Q4_1 || type == GgufType::Q5_1;
    const auto minimum = has_minimum ? at::randn({7, 3}).to(at::kHalf) : at::Tensor();
    auto expected = q.to(at::kFloat) * scale.to(at::kFloat).repeat_interleave(32, 1);
    if (has_minimum) expected = expected + minimum.to(at::kFloat).repeat_interleave(32, 1);
    EXPECT_TRUE(at::equal(unpack_blocks(type, pack_blocks(type, q, scale, minimum)), expected));
  }
}

TEST(GgufBlocks, RefuseWhatDoesNotFit) {
  const auto q = at::full({2, 32}, 8, at::kChar);
  const auto scale = at::ones({2, 1}, at::kHalf);
  expect_error<c10::ValueError>([&] { pack_blocks(GgufType::Q4_0, q, scale); },
                                {"-8 to 7 for Q4_0", "got 8"});
  expect_error<c10::ValueError>([&] { pack_blocks(GgufType::Q8_0, q, scale.to(at::kFloat)); },
                                {"scale", "float16"});
  expect_error<c10::ValueError>([&] { pack_blocks(GgufType::Q4_1, q, scale); },
                                {"minimum", "nothing"});
  expect_error<c10::ValueError>(
      [&] {
        pack_blocks(GgufType::Q8_0, at::zeros({2, 31}, at::kChar), scale);
      },
      {"multiple of 32"});
  expect_error<c10::ValueError>([&] { pack_blocks(GgufType::F16, q, scale); }, {"integers", "F16"});
  expect_error<c10::ValueError>(
      [&] {
        unpack_blocks(GgufType::Q8_0, at::zeros({2, 33}, at::kByte));
      },
      {"multiple of 34"});
}

constexpr std::array kSuperTypes = {
    GgufType::Q2_K,  GgufType::Q3_K,  GgufType::Q4_K,   GgufType::Q5_K,  GgufType::Q6_K,
    GgufType::TQ1_0, GgufType::TQ2_0, GgufType::IQ4_NL, GgufType::MXFP4, GgufType::NVFP4};

/// Any integers that the type holds: four rows of three blocks.
SuperBlocks any_super_blocks(const SuperBlockShape& shape) {
  const int64_t columns = 3 * shape.length;
  const auto whole = [](int64_t low, int64_t high, int64_t n) {
    return at::randint(low, high + 1, {4, n}, at::kShort);
  };
  SuperBlocks blocks{whole(shape.q_min, shape.q_max, columns)};
  if (shape.scale_max > 0)
    blocks.scale = whole(shape.scale_min, shape.scale_max, columns / shape.group);
  if (shape.minimum_max > 0) {
    blocks.minimum = whole(0, shape.minimum_max, columns / shape.group);
    blocks.minimum_unit = at::rand({4, 3}).to(at::kHalf);
  }
  if (shape.type == GgufType::NVFP4) return blocks;
  blocks.unit = shape.type == GgufType::MXFP4 ? at::randint(100, 140, {4, 3}, at::kByte)
                                              : at::randn({4, 3}).to(at::kHalf);
  return blocks;
}

/// The formulas of super_block.h.
at::Tensor numbers_of(const SuperBlockShape& shape, const SuperBlocks& blocks) {
  const auto spread_out = [](const at::Tensor& values, int64_t times) {
    return values.to(at::kFloat).repeat_interleave(times, 1);
  };
  if (shape.type == GgufType::NVFP4) {
    const auto scale = blocks.scale.to(at::kByte).view(at::kFloat8_e4m3fn).to(at::kFloat);
    return spread_out(scale, 16) *
           at::tensor(table_of(shape.type)).to(at::kFloat).index({blocks.q.to(at::kLong)});
  }
  auto unit = blocks.unit.to(at::kFloat);
  if (shape.type == GgufType::MXFP4) unit = (unit - 127).exp2();
  auto scale = spread_out(unit, shape.length);
  if (blocks.scale.defined()) scale = scale * spread_out(blocks.scale, shape.group);
  auto q = blocks.q.to(at::kFloat);
  if (shape.has_table)
    q = at::tensor(table_of(shape.type)).to(at::kFloat).index({blocks.q.to(at::kLong)});
  if (!blocks.minimum.defined()) return scale * q;
  return scale * q -
         spread_out(blocks.minimum_unit, shape.length) * spread_out(blocks.minimum, shape.group);
}

TEST(GgufSuperBlocks, HoldEveryCodeScaleAndMinimum) {
  for (const GgufType type : kSuperTypes) {
    SCOPED_TRACE(block_of(type).name);
    const auto& shape = *find_super_block(type);
    const auto blocks = any_super_blocks(shape);
    const auto got = unpack_blocks(type, pack_super_blocks(type, blocks));
    EXPECT_TRUE(at::equal(got, numbers_of(shape, blocks)));
  }
}

TEST(GgufSuperBlocks, RefuseWhatDoesNotFit) {
  const auto with = [](GgufType type, auto change) {
    auto blocks = any_super_blocks(*find_super_block(type));
    change(blocks);
    pack_super_blocks(type, blocks);
  };
  expect_error<c10::ValueError>([&] { with(GgufType::Q2_K, [](SuperBlocks& b) { b.q.fill_(4); }); },
                                {"codes of Q2_K", "0 to 3", "got 4"});
  expect_error<c10::ValueError>(
      [&] { with(GgufType::Q3_K, [](SuperBlocks& b) { b.scale.fill_(32); }); },
      {"scales of Q3_K", "-32 to 31", "32"});
  expect_error<c10::ValueError>(
      [&] { with(GgufType::Q4_K, [](SuperBlocks& b) { b.minimum = at::Tensor(); }); },
      {"minima of Q4_K"});
  expect_error<c10::ValueError>(
      [&] { with(GgufType::Q6_K, [](SuperBlocks& b) { b.unit = b.unit.to(at::kFloat); }); },
      {"units of Q6_K", "Half"});
  expect_error<c10::ValueError>(
      [&] { with(GgufType::TQ1_0, [](SuperBlocks& b) { b.q = b.q.narrow(1, 0, 255); }); },
      {"multiple of 256"});
  expect_error<c10::ValueError>([&] { pack_super_blocks(GgufType::Q4_0, {}); }, {"Q4_0"});
}

TEST(GgufBlocks, TheGgufPackageGetsTheSameNumbers) {
  if (laconic::testing::python().empty()) GTEST_SKIP() << laconic::testing::kNoPython;
  const TemporaryDirectory directory;
  GgufWriter writer(directory / "x.gguf");
  writer.put("general.architecture", std::string("test"));
  std::vector<at::Tensor> rows, values;
  const auto declare = [&](GgufType type, const at::Tensor& bytes) {
    rows.push_back(bytes), values.push_back(unpack_blocks(type, bytes).contiguous());
    const std::vector<int64_t> shape = values.back().sizes().vec();
    writer.declare(std::string(block_of(type).name), type, shape);
    writer.declare(std::string(block_of(type).name) + ".expected", GgufType::F32, shape);
  };
  for (const GgufType type : kIntegerTypes) {
    const auto bytes = at::randint(0, 256, {4, 3 * block_of(type).bytes}, at::kByte);
    for (int64_t block = 0; block < 3; ++block) {  // finite scales
      bytes.slice(1, block * block_of(type).bytes, block * block_of(type).bytes + 4)
          .bitwise_and_(0x3f);
    }
    declare(type, bytes);
  }
  for (const GgufType type : kSuperTypes)
    declare(type, pack_super_blocks(type, any_super_blocks(*find_super_block(type))));
  for (size_t i = 0; i < rows.size(); ++i) {
    writer.write({static_cast<const std::byte*>(rows[i].const_data_ptr()), rows[i].nbytes()});
    writer.write({static_cast<const std::byte*>(values[i].const_data_ptr()), values[i].nbytes()});
  }
  writer.commit();
  const auto result = laconic::testing::run_program(
      {laconic::testing::python(), "-c",
       "import sys, numpy\nfrom gguf import GGUFReader, quants\n"
       "t = {x.name: x for x in GGUFReader(sys.argv[1]).tensors}\n"
       "for n in [n for n in t if n + '.expected' in t]:\n"
       "    got = quants.dequantize(t[n].data, t[n].tensor_type)\n"
       "    assert numpy.array_equal(got, t[n + '.expected'].data), n\nprint(len(t), 'equal')",
       (directory / "x.gguf").string()});
  EXPECT_EQ(result.output, "30 equal\n") << result.errors;
}

}  // namespace
}  // namespace laconic
