#include "laconic/file/json/json.h"

#include <nlohmann/json.hpp>

#include "laconic/base/atomic_file.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;

TEST(ParseJson, RefusesAKeyTwiceInOneObjectOnly) {
  EXPECT_EQ(parse_json(R"({"a": {"x": 1}, "b": [{"x": 2}, {"x": 3}]})", "w")["b"][1]["x"], 3);
  expect_error<c10::ValueError>([] { parse_json(R"({"a": {"x": 1, "y": 2, "x": 3}})", "where"); },
                                {"where", "\"x\" twice"});
}

TEST(ParseJson, RefusesDeepNesting) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_json(nested(64), "w").is_array());
  expect_error<c10::ValueError>([&] { parse_json(nested(65), "w"); }, {"nested at most 64"});
  expect_error<c10::ValueError>([&] { parse_json(nested(10'000'000), "w"); },
                                {"nested at most 64"});
}

TEST(ParseJson, NamesTheByteOfAnError) {
  expect_error<c10::ValueError>([] { parse_json("{\"a\": ]", "where"); }, {"where", "at byte 7"});
  expect_error<c10::ValueError>([] { parse_json("\"\xc3\x28\"", "where"); }, {"where", "UTF-8"});
  expect_error<c10::ValueError>([] { parse_json("1e999", "where"); }, {"where", "number overflow"});
  expect_error<c10::ValueError>([] { parse_json("", "where"); }, {"where", "expected JSON"});
}

TEST(JsonFile, ComesBackAndNamesItsPath) {
  const TemporaryDirectory directory;
  const nlohmann::json value = {{"a", {1, 2.5, "x"}}};
  write_json_file(directory / "x.json", value);
  EXPECT_EQ(read_json_file(directory / "x.json"), value);
  write_text_file(directory / "y.json", "{");
  expect_error<c10::ValueError>([&] { read_json_file(directory / "y.json"); }, {"y.json"});
  expect_error<c10::ValueError>([&] { write_json_file(directory / "z.json", "\xff"); },
                                {"z.json", "UTF-8"});
}

}  // namespace
}  // namespace laconic
