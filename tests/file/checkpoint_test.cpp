#include "laconic/base/atomic_file.h"
#include "laconic/file/safetensors/safetensors.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;

constexpr const char* kIndex = "model.safetensors.index.json";

TEST(Checkpoint, OneFileIsATable) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "model.safetensors",
                    {{"b", at::ones({2})}, {"a", at::zeros({3}, at::kHalf)}});
  const auto checkpoint = Checkpoint::open(directory.path());
  EXPECT_THAT(checkpoint->names(), ::testing::ElementsAre("a", "b"));
  EXPECT_EQ(checkpoint->bytes(), 14u);
  EXPECT_TRUE(checkpoint->has("a"));
  EXPECT_FALSE(checkpoint->has("c"));
  EXPECT_EQ(checkpoint->entry("a").dtype, at::kHalf);
  EXPECT_TRUE(at::equal(checkpoint->tensor("b"), at::ones({2})));
  checkpoint->drop("b");
  expect_error<c10::ValueError>([&] { checkpoint->tensor("c"); }, {"[checkpoint]", "\"c\""});
}

class Shards : public ::testing::Test {
 protected:
  Shards() {
    write_safetensors(directory_ / "one.safetensors", {{"a", at::ones({2})}});
    write_safetensors(directory_ / "two.safetensors",
                      {{"b", at::ones({3})}, {"extra", at::ones({1})}});
  }
  void refuse(const std::string& index, const std::vector<std::string>& words) {
    SCOPED_TRACE(index);
    write_text_file(directory_ / kIndex, index);
    expect_error<c10::ValueError>([&] { Checkpoint::open(directory_.path()); }, words);
  }
  TemporaryDirectory directory_;
};

TEST_F(Shards, AreJoinedByTheIndex) {
  write_text_file(directory_ / kIndex,
                  R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
  const auto checkpoint = Checkpoint::open(directory_.path());
  EXPECT_THAT(checkpoint->names(), ::testing::ElementsAre("a", "b"));
  EXPECT_EQ(checkpoint->tensor("b").numel(), 3);
}

TEST_F(Shards, AnIndexThatLeadsOutsideIsRefused) {
  for (const std::string shard :
       {"../one.safetensors", "/etc/passwd", "..", "", "sub/one.safetensors", "..\\\\x"}) {
    refuse(R"({"weight_map": {"a": ")" + shard + "\"}}", {kIndex, "\"a\"", "beside the index"});
  }
  refuse(R"({"weight_map": {"a": 3}})", {kIndex, "\"a\"", "file name"});
}

TEST_F(Shards, AnIndexThatDoesNotFitItsShardsIsRefused) {
  refuse(R"({"weight_map": {"a": "two.safetensors"}})", {"two.safetensors", "\"a\""});
  refuse(R"({"weight_map": {"a": "three.safetensors"}})", {kIndex, "three.safetensors", "absent"});
  refuse(R"({"weight_map": []})", {kIndex, "weight_map"});
  refuse(R"({})", {kIndex, "weight_map"});
  refuse(R"({"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}})",
         {kIndex, "\"a\" twice"});
}

TEST_F(Shards, ANameInTwoShardsIsRefused) {
  write_safetensors(directory_ / "two.safetensors", {{"b", at::ones({3})}, {"a", at::ones({2})}});
  refuse(R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})",
         {"two.safetensors", "\"a\"", "one.safetensors"});
}

TEST(Checkpoint, ADirectoryWithoutOneSaysWhatIsExpected) {
  const TemporaryDirectory directory;
  expect_error<c10::ValueError>(
      [&] { Checkpoint::open(directory.path()); },
      {directory.path().string(), "model.safetensors.index.json", "pytorch_model.bin"});
}

}  // namespace
}  // namespace laconic
