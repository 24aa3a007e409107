#include "laconic/file/safetensors/safetensors.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;

std::string file_bytes(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, '\1');
}

SafetensorsHeader parse(const std::string& bytes) {
  return parse_safetensors_header(std::as_bytes(std::span(bytes)), "x.safetensors");
}

void expect_refused(const std::string& header, size_t data_bytes, std::vector<std::string> words) {
  SCOPED_TRACE(header);
  words.push_back("[safetensors] x.safetensors");
  expect_error<c10::ValueError>([&] { parse(file_bytes(header, data_bytes)); }, words);
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(SafetensorsHeader, RefusesLengthsOutsideTheFile) {
  expect_error<c10::ValueError>([] { parse("1234567"); }, {"at least 8 bytes", "got 7"});
  expect_error<c10::ValueError>([] { parse(std::string(8, '\0')); }, {"header length", "got 0"});
  expect_error<c10::ValueError>([] { parse(std::string(16, '\xff')); },
                                {"header length", "18446744073709551615"});
  std::string huge(8, '\0');
  const uint64_t length = 100'000'001;
  std::memcpy(huge.data(), &length, 8);
  expect_error<c10::ValueError>([&] { parse(huge + std::string(length, ' ')); },
                                {"expected 2 to 100000000"});
}

TEST(SafetensorsHeader, RefusesMalformedJson) {
  expect_refused("{\"a\":", 0, {"expected JSON", "byte"});
  expect_refused("[1, 2]", 0, {"expected an object", "array"});
  expect_refused("{\"\xff\": 1}", 0, {"expected JSON"});
  expect_refused(std::string(100'000, '[') + std::string(100'000, ']'), 0, {"nested at most 8"});
}

TEST(SafetensorsHeader, RefusesANameTwice) {
  expect_refused(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
      2, {"\"a\" twice"});
  expect_refused(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1,
                 {"\"dtype\" twice"});
}

TEST(SafetensorsHeader, RefusesMalformedEntries) {
  expect_refused(entry("F7", "[1]", "[0,1]"), 1, {"\"a\" dtype", "F32", "got \"F7\""});
  expect_refused(entry("U8", "[-1]", "[0,1]"), 1, {"\"a\" shape", "got -1"});
  expect_refused(entry("U8", "[1.5]", "[0,1]"), 1, {"\"a\" shape", "got 1.5"});
  expect_refused(entry("U8", "3", "[0,1]"), 1, {"\"a\" shape", "expected a list"});
  expect_refused(entry("U8", "[1]", "[0]"), 1, {"data_offsets", "[begin, end]"});
  expect_refused(entry("U8", "[1]", "[-1,0]"), 1, {"data_offsets", "[begin, end]"});
  expect_refused(R"({"a":7})", 0,
                 {"tensor \"a\"", "expected {dtype, shape, data_offsets}", "number"});
  expect_refused(R"({"a":{"dtype":"U8","shape":[0]}})", 0, {"\"a\"", "field \"data_offsets\""});
  expect_refused(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})", 0,
                 {"unknown field \"x\""});
}

TEST(SafetensorsHeader, RefusesHugeShapes) {
  const char* const kHuge = "2^63 - 1 bytes";
  expect_refused(entry("F32", "[4294967296,4294967296]", "[0,1]"), 1, {"\"a\" shape", kHuge});
  expect_refused(entry("F32", "[4611686018427387904]", "[0,0]"), 0,
                 {kHuge});  // times 4 wraps to zero
  expect_refused(entry("U8", "[0,9223372036854775807,9223372036854775807]", "[0,0]"), 0, {kHuge});
  expect_refused(entry("U8", "[18446744073709551615]", "[0,1]"), 1, {kHuge});
  expect_refused(entry("U8", "[99999999999999999999999]", "[0,1]"), 1, {"whole sizes"});
}

TEST(SafetensorsHeader, RefusesOffsetsThatDoNotFit) {
  expect_refused(entry("U8", "[2]", "[2,0]"), 2, {"\"a\" data_offsets", "begin <= end"});
  expect_refused(entry("U8", "[2]", "[0,2]"), 1, {"within the 1 bytes", "cut short"});
  expect_refused(entry("F32", "[2]", "[0,4]"), 4, {"expected 8 bytes", "[0,4]"});
  expect_refused(entry("U8", "[2]", "[1,3]"), 3, {"hole before tensor \"a\"", "begin of 0"});
  expect_refused(entry("U8", "[2]", "[0,2]"), 3, {"fill the 3 bytes", "end at 2"});
  expect_refused(
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
      3, {"\"b\" overlaps"});
}

TEST(SafetensorsHeader, MetadataIsStringsOnly) {
  EXPECT_EQ(parse(file_bytes(R"({"__metadata__":{"format":"pt"}})", 0)).metadata.at("format"),
            "pt");
  expect_refused(R"({"__metadata__":{"format":1}})", 0,
                 {"__metadata__", "\"format\"", "expected a string"});
  expect_refused(R"({"__metadata__":[]})", 0, {"__metadata__", "object of strings"});
}

TEST(Safetensors, EveryDtypeComesBackBitForBit) {
  using enum at::ScalarType;
  const TemporaryDirectory directory;
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto dtype :
       {Double, Float, Half, BFloat16, Long, Int, Short, Char, Byte, UInt16, UInt32, UInt64,
        Float8_e4m3fn, Float8_e5m2, Float8_e8m0fnu, ComplexFloat}) {
    const auto bytes =
        at::randint(0, 256, {3, 5 * static_cast<int64_t>(c10::elementSize(dtype))}, at::kByte);
    tensors.emplace_back(c10::toString(dtype), bytes.view(dtype));
  }
  tensors.emplace_back("bool", at::randint(0, 2, {7}, at::kBool));
  tensors.emplace_back("scalar", at::tensor(1.5F));
  tensors.emplace_back("empty", at::empty({4, 0, 2}));
  tensors.emplace_back("strided", at::arange(12).reshape({3, 4}).t());
  write_safetensors(directory / "m.safetensors", tensors, {{"k", "v"}});
  const auto file = SafetensorsFile::open(directory / "m.safetensors");
  EXPECT_EQ(file->metadata().at("k"), "v");
  EXPECT_EQ(file->entries().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    SCOPED_TRACE(name);
    const auto back = file->tensor(name);
    EXPECT_EQ(back.scalar_type(), tensor.scalar_type());
    EXPECT_EQ(back.sizes(), tensor.sizes());
    const auto whole = tensor.contiguous();
    if (whole.nbytes() > 0) {
      EXPECT_EQ(std::memcmp(back.const_data_ptr(), whole.const_data_ptr(), whole.nbytes()), 0);
    }
    EXPECT_EQ(reinterpret_cast<uintptr_t>(back.const_data_ptr()) % tensor.element_size(), 0u);
  }
}

TEST(Safetensors, MisalignedDataAndOddBoolsAreReadSafely) {
  const TemporaryDirectory directory;
  std::string bytes = file_bytes(
      R"({"b":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})",
      9);
  bytes[bytes.size() - 9] = '\x40';
  const float values[2] = {1.5F, -2.25F};
  std::memcpy(bytes.data() + bytes.size() - 8, values, 8);
  write_text_file(directory / "m.safetensors", bytes);
  const auto file = SafetensorsFile::open(directory / "m.safetensors");
  EXPECT_TRUE(at::equal(file->tensor("f"), at::tensor({1.5F, -2.25F})));
  EXPECT_EQ(*static_cast<const uint8_t*>(file->tensor("b").const_data_ptr()), 1);
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "m.safetensors", {{"a", at::rand({3})}, {"b", at::rand({2, 2})}});
  const std::string bytes = read_text_file(directory / "m.safetensors");
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(parse(bytes.substr(0, length)), c10::ValueError) << length;
  }
  EXPECT_EQ(parse(bytes).entries.size(), 2u);
}

TEST(Safetensors, ATensorOutlivesItsFileAndADrop) {
  const TemporaryDirectory directory;
  const auto values = at::rand({100, 100});
  write_safetensors(directory / "m.safetensors", {{"a", values}});
  auto file = SafetensorsFile::open(directory / "m.safetensors");
  const auto tensor = file->tensor("a");
  file->drop("a");
  file.reset();
  EXPECT_TRUE(at::equal(tensor, values));
}

TEST(Safetensors, AnAbsentTensorIsNamed) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "m.safetensors", {});
  const auto file = SafetensorsFile::open(directory / "m.safetensors");
  EXPECT_EQ(file->find("a"), nullptr);
  expect_error<c10::ValueError>([&] { file->tensor("a"); }, {"m.safetensors", "\"a\""});
  expect_error<c10::ValueError>([&] { file->drop("a"); }, {"m.safetensors", "\"a\""});
}

TEST(WriteSafetensors, RefusesWhatTheFormatCannotHold) {
  const TemporaryDirectory directory;
  const auto path = directory / "m.safetensors";
  const auto one = at::ones({1});
  expect_error<c10::ValueError>(
      [&] {
        write_safetensors(path, {{"a", one}, {"a", one}});
      },
      {"\"a\" twice"});
  expect_error<c10::ValueError>(
      [&] {
        write_safetensors(path, {{"__metadata__", one}});
      },
      {"cannot name a tensor"});
  expect_error<c10::ValueError>(
      [&] {
        write_safetensors(path, {{"a", at::Tensor()}});
      },
      {"\"a\" is undefined"});
  expect_error<c10::ValueError>(
      [&] {
        write_safetensors(path, {{"a", one.to(at::kComplexDouble)}});
      },
      {"\"a\"", "ComplexDouble", "Convert"});
  expect_error<c10::ValueError>([&] { write_safetensors(path, {{"\xff", one}}); }, {"UTF-8"});
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(WriteSafetensors, AFullDiskLeavesNothing) {
  const TemporaryDirectory directory;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  expect_error<c10::Error>(
      [&] {
        write_safetensors(directory / "m.safetensors", {{"a", at::ones({10'000})}});
      },
      {"m.safetensors", "writing failed"});
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(WriteSafetensors, TheSafetensorsPackageReadsOurFiles) {
  if (laconic::testing::python().empty()) GTEST_SKIP() << laconic::testing::kNoPython;
  const TemporaryDirectory directory;
  const auto path = directory / "m.safetensors";
  write_safetensors(path,
                    {{"a", at::arange(6).to(at::kFloat).reshape({2, 3})},
                     {"b", at::arange(5).to(at::kBFloat16)},
                     {"c", at::arange(3).to(at::kByte)},
                     {"none", at::empty({0, 2})}},
                    {{"format", "pt"}});
  const auto result = laconic::testing::run_program(
      {laconic::testing::python(), "-c",
       "import sys, torch\nfrom safetensors.torch import load_file\nt = load_file(sys.argv[1])\n"
       "assert torch.equal(t['a'], torch.arange(6.).reshape(2, 3))\n"
       "assert torch.equal(t['b'], torch.arange(5).bfloat16())\n"
       "assert torch.equal(t['c'], torch.arange(3).byte()) and t['none'].shape == (0, "
       "2)\nprint('equal')",
       path.string()});
  EXPECT_EQ(result.output, "equal\n") << result.errors;
}

}  // namespace
}  // namespace laconic
