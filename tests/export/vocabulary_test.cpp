#include "laconic/export/gguf/vocabulary.h"

#include <nlohmann/json.hpp>

#include "laconic/export/gguf/tokenizer_keys.h"
#include "laconic/file/json/json.h"
#include "tests/export/small_llama.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::small_tokenizer;
using laconic::testing::TemporaryDirectory;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json changed(const std::string& place, const json& value) {
  json tokenizer = small_tokenizer();
  tokenizer[json::json_pointer(place)] = value;
  return tokenizer;
}

// As a file is read: whole numbers have no sign.
GgufVocabulary read(const json& tokenizer) {
  return vocabulary_of_json(json::parse(tokenizer.dump()), 6, "t.json");
}

json unigram() {
  return {{"added_tokens", json::array()},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Precompiled"}, {"precompiled_charsmap", "AAEC"}},
              {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}}}}}},
          {"pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "\u2581"}}},
          {"model",
           {{"type", "Unigram"},
            {"unk_id", 0},
            {"vocab", json::array({json::array({"<unk>", 0.0}), json::array({"\u2581a", -1.5}),
                                   json::array({"b", -2.0})})}}}};
}

TEST(GgufVocabulary, ByteLevelBpeKeepsTokensMergesAndKinds) {
  const auto vocabulary = read(small_tokenizer());
  EXPECT_EQ(vocabulary.kind, "gpt2");
  EXPECT_EQ(vocabulary.pre, "gpt-2");
  EXPECT_THAT(vocabulary.tokens, ElementsAre("a", "b", "ab", "<s>", "[PAD4]", "[PAD5]"));
  EXPECT_THAT(vocabulary.merges, ElementsAre("a b"));
  EXPECT_EQ(vocabulary.kinds[3], TokenKind::kControl);
  EXPECT_EQ(vocabulary.kinds[5], TokenKind::kUnused);
}

TEST(GgufVocabulary, UnigramKeepsScoresAndTheTableOfReplacements) {
  const auto vocabulary = read(unigram());
  EXPECT_EQ(vocabulary.kind, "t5");
  EXPECT_EQ(vocabulary.scores[1], -1.5F);
  EXPECT_EQ(vocabulary.unknown, 0);
  EXPECT_EQ(vocabulary.charsmap, std::string("\0\1\2", 3));
  EXPECT_TRUE(vocabulary.removes_extra_spaces);
  EXPECT_TRUE(vocabulary.adds_space);
  json bytes = unigram();
  bytes["model"]["byte_fallback"] = true;
  expect_error<c10::NotImplementedError>([&] { read(bytes); }, {"byte_fallback", "Unigram"});
  json bare = unigram();
  bare["pre_tokenizer"]["prepend_scheme"] = "never";
  expect_error<c10::NotImplementedError>([&] { read(bare); }, {"space before the text"});
}

TEST(GgufVocabulary, TheTemplateSaysWhatGoesAroundAText) {
  const json single = {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}};
  const auto vocabulary =
      read(changed("/post_processor", {{"type", "TemplateProcessing"}, {"single", single}}));
  EXPECT_TRUE(vocabulary.begins_with_bos);
  EXPECT_EQ(vocabulary.bos, 3);
  EXPECT_FALSE(vocabulary.ends_with_eos);
}

TEST(GgufVocabulary, WhatLlamaCppWouldSplitOtherwiseIsRefused) {
  const auto refuse = [](const std::string& place, const json& value,
                         const std::vector<std::string>& words) {
    SCOPED_TRACE(place + " " + value.dump());
    expect_error<c10::NotImplementedError>([&] { read(changed(place, value)); }, words);
  };
  refuse("/model/type", "WordPiece", {"t.json", "WordPiece"});
  refuse("/model/type", "WordLevel", {"WordLevel"});
  refuse("/model/end_of_word_suffix", "</w>", {"end_of_word_suffix"});
  refuse("/model/continuing_subword_prefix", "##", {"continuing_subword_prefix"});
  refuse("/pre_tokenizer/add_prefix_space", true, {"pre_tokenizer"});
  refuse("/pre_tokenizer", {{"type", "Whitespace"}}, {"t.json", "Whitespace"});
  refuse("/normalizer", {{"type", "Lowercase"}}, {"normalizer", "Lowercase"});
}

TEST(GgufVocabulary, MalformedTokenizersAreRefusedByField) {
  const auto refuse = [](const std::string& place, const json& value,
                         const std::vector<std::string>& words) {
    SCOPED_TRACE(place + " " + value.dump());
    expect_error<c10::ValueError>([&] { read(changed(place, value)); }, words);
  };
  refuse("/model/vocab", json::object(), {"model.vocab"});
  refuse("/model/vocab", 1, {"model.vocab"});
  refuse("/model/vocab/a", -1, {"token \"a\"", "-1"});
  refuse("/model/vocab/a", 6, {"token \"a\"", "6 ids"});
  refuse("/model/vocab/a", 1e30, {"token \"a\""});
  refuse("/model/merges", 1, {"model.merges"});
  refuse("/model/merges/0", "ab", {"model.merges[0]"});
  refuse("/added_tokens/0/id", "x", {"<s>", "\"x\""});
  json bad = unigram();
  bad["model"]["vocab"][1] = 1;
  expect_error<c10::ValueError>([&] { read(bad); }, {"model.vocab[1]"});
  bad = unigram();
  bad["model"]["unk_id"] = 3;
  expect_error<c10::ValueError>([&] { read(bad); }, {"unk_id", "below 3"});
  expect_error<c10::ValueError>([] { read(json::object()); }, {"model"});
}

TEST(GgufTokenizer, ADirectoryWithoutOneGivesAFileOfIds) {
  const TemporaryDirectory directory;
  const auto tokenizer = read_gguf_tokenizer(directory.path(), json::object(), 6);
  EXPECT_EQ(std::get<std::string>(tokenizer.keys.at(0).second), "none");
  EXPECT_THAT(tokenizer.notes.at(0), HasSubstr("ids only"));
}

TEST(GgufTokenizer, ATokenTwiceIsRefused) {
  const TemporaryDirectory directory;
  json tokenizer = small_tokenizer();
  tokenizer["added_tokens"][0]["content"] = "ab";
  write_json_file(directory / "tokenizer.json", tokenizer);
  expect_error<c10::ValueError>([&] { read_gguf_tokenizer(directory.path(), json::object(), 6); },
                                {"tokenizer.json", "\"ab\" twice"});
}

}  // namespace
}  // namespace laconic
