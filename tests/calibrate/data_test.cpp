#include "laconic/calibrate/data.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "laconic/base/atomic_file.h"
#include "laconic/calibrate/npy.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;

/// One id a byte.
class ByteTokenizer : public Tokenizer {
 public:
  std::vector<int64_t> encode(std::string_view text, bool) const override {
    return {reinterpret_cast<const unsigned char*>(text.data()),
            reinterpret_cast<const unsigned char*>(text.data()) + text.size()};
  }
  std::string decode(std::span<const int64_t>, bool) const override { return ""; }
  int64_t size() const override { return 256; }
  std::optional<int64_t> id_of(std::string_view) const override { return std::nullopt; }
};
const ByteTokenizer kBytes;

std::string npy(const std::string& header, const std::string& data) {
  std::string file = "\x93NUMPY";
  file += std::string("\x01\x00", 2);
  file += static_cast<char>(header.size() & 0xFF);
  file += static_cast<char>(header.size() >> 8);
  return file + header + data;
}

std::string little_endian(const std::vector<int32_t>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * 4};
}

CalibrationData load(const TemporaryDirectory& directory, const std::string& name,
                     const std::string& content, const CalibrationOptions& options) {
  write_text_file(directory / name, content);
  return load_calibration(directory / name, &kBytes, 256, options);
}

TEST(Calibration, TextIsCutIntoWindowsSpreadEvenly) {
  const TemporaryDirectory directory;
  const auto data = load(directory, "a.txt", "aabbccddeeff", {.windows = 3, .length = 2});
  EXPECT_EQ(data.offsets, (std::vector<int64_t>{0, 4, 8}));
  EXPECT_TRUE(
      at::equal(data.windows, at::tensor({'a', 'a', 'c', 'c', 'e', 'e'}, at::kLong).view({3, 2})));
  EXPECT_EQ(data.tokens, 12);
  EXPECT_EQ(to_json(data)["offsets"][2], 8);
}

TEST(Calibration, ASeedDrawsOtherWindowsAndAlwaysTheSame) {
  const TemporaryDirectory directory;
  const std::string text(4000, 'x');
  const auto one = load(directory, "a.txt", text, {.windows = 20, .length = 4, .seed = 1});
  const auto again = load(directory, "a.txt", text, {.windows = 20, .length = 4, .seed = 1});
  const auto two = load(directory, "a.txt", text, {.windows = 20, .length = 4, .seed = 2});
  EXPECT_EQ(one.offsets, again.offsets);
  EXPECT_NE(one.offsets, two.offsets);
  EXPECT_TRUE(std::is_sorted(one.offsets.begin(), one.offsets.end()));
  EXPECT_EQ(std::adjacent_find(one.offsets.begin(), one.offsets.end()), one.offsets.end());
}

TEST(Calibration, DataWithFewerWindowsGivesAllOfThemWithANote) {
  const TemporaryDirectory directory;
  const auto data = load(directory, "a.txt", "aabbc", {.windows = 7, .length = 2});
  EXPECT_EQ(data.windows.size(0), 2);
  ASSERT_EQ(data.notes.size(), 1u);
  EXPECT_THAT(data.notes[0], ::testing::HasSubstr("2 windows of 2 tokens"));
}

TEST(Calibration, TextThatIsTooShortSaysHowManyTokensItNeeds) {
  const TemporaryDirectory directory;
  expect_error<c10::ValueError>(
      [&] { load(directory, "a.txt", "abc", {.windows = 2, .length = 4}); },
      {"a.txt", "found 3 tokens", "at least 4", "are 8"});
  expect_error<c10::ValueError>([&] { load(directory, "b.txt", "", {}); }, {"b.txt", "empty"});
  expect_error<c10::ValueError>(
      [&] { load_calibration(directory / "absent.txt", &kBytes, 256, {}); }, {"absent.txt"});
  expect_error<c10::ValueError>([&] { load(directory, "a.txt", "abc", {.windows = 0}); },
                                {"windows", "0"});
  expect_error<c10::ValueError>([&] { load(directory, "a.txt", "abc", {.length = 1}); },
                                {"length", "1"});
}

TEST(Calibration, TextThatIsNotUtf8IsNamedWithTheByte) {
  const TemporaryDirectory directory;
  expect_error<c10::ValueError>(
      [&] { load(directory, "a.txt", "abc\xFF", {.windows = 1, .length = 2}); },
      {"a.txt", "byte 3"});
}

TEST(Calibration, JsonLinesGiveAFieldOrChatTurns) {
  const TemporaryDirectory directory;
  const auto data =
      load(directory, "a.jsonl",
           "{\"text\": \"ab\"}\n\n{\"messages\": [{\"role\": \"user\", \"content\": \"c\"},"
           "{\"role\": \"assistant\", \"content\": \"d\"}]}",
           {.windows = 3, .length = 2});
  EXPECT_TRUE(at::equal(data.windows,
                        at::tensor({'a', 'b', 'c', '\n', 'd', '\n'}, at::kLong).view({3, 2})));
  const auto named = load(directory, "a.jsonl", "{\"body\": \"xy\"}",
                          {.windows = 1, .length = 2, .field = "body"});
  EXPECT_EQ(named.windows[0][0].item<int64_t>(), 'x');
}

TEST(Calibration, WrongJsonLinesAreNamedWithTheirLine) {
  const TemporaryDirectory directory;
  const auto refuses = [&](const std::string& text, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>(
        [&] { load(directory, "a.jsonl", text, {.windows = 1, .length = 2}); }, words);
  };
  refuses("{\"text\": \"ab\"}\n{", {"a.jsonl:2"});
  refuses("[1]", {"a.jsonl:1", "object"});
  refuses("{\"txt\": \"ab\"}", {"a.jsonl:1", "\"text\"", "txt"});
  refuses("{\"text\": 3}", {"a.jsonl:1", "text", "number"});
  refuses("{\"messages\": [{\"role\": \"user\"}]}", {"a.jsonl:1", "messages"});
}

TEST(Calibration, TextNeedsATokenizer) {
  const TemporaryDirectory directory;
  write_text_file(directory / "a.txt", "some text");
  expect_error<c10::ValueError>([&] { load_calibration(directory / "a.txt", nullptr, 256, {}); },
                                {"no tokenizer"});
}

TEST(Npy, StreamsAndRowsOfIdsAreWindows) {
  const TemporaryDirectory directory;
  const auto stream = load(directory, "a.npy",
                           npy("{'descr': '<i4', 'fortran_order': False, 'shape': (5,), }\n",
                               little_endian({1, 2, 3, 4, 5})),
                           {.windows = 2, .length = 2});
  EXPECT_TRUE(at::equal(stream.windows, at::tensor({1, 2, 3, 4}, at::kLong).view({2, 2})));
  const auto rows = load(directory, "b.npy",
                         npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }",
                             little_endian({1, 2, 3, 4, 5, 6})),
                         {.windows = 2, .length = 2});
  EXPECT_TRUE(at::equal(rows.windows, at::tensor({1, 2, 4, 5}, at::kLong).view({2, 2})));
  EXPECT_EQ(rows.offsets, (std::vector<int64_t>{0, 3}));
}

TEST(Npy, IdsOfAnotherVocabularyAreRefused) {
  const TemporaryDirectory directory;
  const std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }";
  expect_error<c10::ValueError>(
      [&] {
        load(directory, "a.npy", npy(header, little_endian({1, 256})), {.windows = 1, .length = 2});
      },
      {"a.npy", "0 to 255", "256"});
  expect_error<c10::ValueError>(
      [&] {
        load(directory, "a.npy", npy(header, little_endian({-7, 25})), {.windows = 1, .length = 2});
      },
      {"-7"});
}

TEST(Npy, HostileHeadersAreRefused) {
  const TemporaryDirectory directory;
  const auto refuses = [&](const std::string& content, const std::vector<std::string>& words) {
    write_text_file(directory / "a.npy", content);
    expect_error<c10::ValueError>([&] { read_npy_ids(directory / "a.npy"); }, words);
  };
  const std::string eight = little_endian({1, 2});
  refuses("", {"a.npy"});
  refuses("not numpy at all", {"NUMPY"});
  refuses(npy("{}", eight).substr(0, 11), {"NUMPY"});
  refuses(std::string("\x93NUMPY\x09\x00\x02\x00{}", 12), {"version", "9"});
  refuses(std::string("\x93NUMPY\x01\x00\xFF\xFF{}", 12), {"65535"});
  refuses(npy("{}", eight), {"descr"});
  refuses(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", eight), {"int32", "<f4"});
  refuses(npy("{'descr': '<i4', 'fortran_order': True, 'shape': (1, 2)}", eight), {"Fortran"});
  refuses(npy("{'descr': '<i4', 'fortran_order': Maybe, 'shape': (2,)}", eight), {"True or False"});
  refuses(npy("{'descr': '<i4', 'fortran_order': False, 'shape': ()}", eight), {"0 dimensions"});
  refuses(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}", eight), {"2 numbers"});
  refuses(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", eight),
          {"2 numbers"});
  refuses(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (-1,)}", eight), {"a size"});
  refuses(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999999999999,)}", eight),
          {"a size"});
  refuses(npy("{'descr': '<i4', 'extra': 1}", eight), {"extra"});
  refuses(npy("{'descr': '<i4", eight), {"closing quote"});
  refuses(npy("{descr: 3}", eight), {"quoted word"});
}

}  // namespace
}  // namespace laconic
