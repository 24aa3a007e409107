#include "laconic/load/tokenizer/tokenizer.h"

#include <fstream>

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::kNoData;
using laconic::testing::test_data;
using ::testing::ElementsAre;

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::shared_ptr<const Tokenizer> make(const std::string& json) {
  return Tokenizer::from_json(json, "t.json");
}

constexpr const char* kWords = R"({"model": {"type": "WordLevel", "unk_token": "?",
  "vocab": {"?": 0, "a": 1, "b": 2}}, "pre_tokenizer": {"type": "WhitespaceSplit"}})";

TEST(Tokenizer, TinyModelGivesItsTextBack) {
  const auto tokenizer = Tokenizer::load(laconic::testing::repository() / "assets" / "tiny-lm");
  const std::string text =
      read(laconic::testing::repository() / "assets" / "text" / "evaluation.txt");
  const auto ids = tokenizer->encode(text);
  EXPECT_LT(ids.size(), text.size() / 2);
  EXPECT_EQ(tokenizer->decode(ids), text);
}

TEST(Tokenizer, WordsOutsideOfTheVocabularyAreUnknown) {
  EXPECT_THAT(make(kWords)->encode("a c  b"), ElementsAre(1, 0, 2));
}

TEST(Tokenizer, TextThatIsNotUtf8IsRefusedWithItsOffset) {
  expect_error<c10::ValueError>([] { make(kWords)->encode("ab\xFF"); }, {"UTF-8", "offset 2"});
}

TEST(Tokenizer, DirectoryWithoutATokenizerIsNamed) {
  const laconic::testing::TemporaryDirectory directory;
  expect_error<c10::ValueError>([&] { Tokenizer::load(directory.path()); },
                                {"tokenizer.json", "tokenizer.model"});
}

struct BadFile {
  std::string json;
  std::vector<std::string> words;
};

TEST(Tokenizer, BadFilesAreRefusedWithThePathOfTheFault) {
  const std::vector<BadFile> files = {
      {"{}", {"t.json", "$.model"}},
      {"[1", {"t.json"}},
      {std::string(100'000, '['), {"t.json", "64"}},
      {R"({"model": {"type": "BPE", "merges": []}})", {"$.model.vocab"}},
      {R"({"model": {"type": "BPX"}})", {"$.model.type", "BPE"}},
      {R"({"model": {"type": "Unigram", "vocab": []}, "model": 1})", {"t.json", "\"model\" twice"}},
      {R"({"model": {"type": "Unigram", "vocab": [["a", 1e999]]}})", {"t.json", "1e999"}},
      {R"({"model": {"type": "Unigram", "vocab": [["a"]]}})", {"$.model.vocab[0]", "at least 2"}},
      {R"({"model": {"type": "Unigram", "vocab": {"a": 0}}})", {"$.model.vocab", "an array"}},
      {R"({"model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 1}})",
       {"$.model.unk_id", "from 0 to 0"}},
      {R"({"model": {"type": "WordLevel", "unk_token": "a", "vocab": null}})", {"$.model.vocab"}},
      {R"({"model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0.5}}})",
       {"$.model.vocab.a", "0.5"}},
      {R"({"model": {"type": "WordPiece", "unk_token": "a", "vocab": {"a": 0},
           "continuing_subword_prefix": "", "max_input_chars_per_word": -1}})",
       {"$.model.max_input_chars_per_word"}},
      {R"({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}})",
       {"$.model.vocab.a", "-1"}},
      {R"({"model": {"type": "BPE", "vocab": {"a": 4000000000}, "merges": []}})",
       {"$.model.vocab.a"}},
      {R"({"model": {"type": "BPE", "vocab": {"a": 1, "b": 1}, "merges": []}})",
       {"id of its own", "\"a\""}},
      {R"({"model": {"type": "BPE", "vocab": {"a": 1}, "merges": ["a b"]}})",
       {"$.model.merges[0]", "\"b\""}},
      {R"({"model": {"type": "BPE", "vocab": {"a": 1}, "merges": ["ab"]}})",
       {"$.model.merges[0]", "one space"}},
      {R"({"model": {"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.1}})",
       {"$.model.dropout"}},
  };
  for (const BadFile& file : files) {
    SCOPED_TRACE(file.json.substr(0, 80));
    expect_error<c10::ValueError>([&] { make(file.json); }, file.words);
  }
}

// A tokenizer whose only fault, if any, is in `part`.
std::string with(const std::string& part) {
  return R"({"model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0}}, )" + part + "}";
}

TEST(Tokenizer, BadPartsAreRefusedWithThePathOfTheFault) {
  const std::vector<BadFile> files = {
      {with(R"("normalizer": {"type": "NFX"})"), {"$.normalizer.type", "NFC"}},
      {with(R"("normalizer": {"type": "Strip", "strip_left": 1, "strip_right": true})"),
       {"strip_left", "true or false"}},
      {with(R"("normalizer": {"type": "Precompiled", "precompiled_charsmap": "_"})"), {"base64"}},
      {with(R"("normalizer": {"type": "Precompiled", "precompiled_charsmap": "////"})"),
       {"precompiled_charsmap"}},
      {with(R"("normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""})"),
       {"$.normalizer.pattern"}},
      {with(R"("normalizer": {"type": "Replace", "pattern": {"Regex": "[a"}, "content": ""})"),
       {"']'"}},
      {with(R"("normalizer": {"type": "Replace", "pattern": {}, "content": ""})"),
       {"String", "Regex"}},
      {with(R"("pre_tokenizer": {"type": "Digits"})"), {"$.pre_tokenizer.individual_digits"}},
      {with(R"("pre_tokenizer": {"type": "FixedLength", "length": 0})"), {"length", "got 0"}},
      {with(R"("pre_tokenizer": {"type": "Punctuation", "behavior": "Lost"})"),
       {"behavior", "Isolated"}},
      {with(R"("pre_tokenizer": {"type": "Metaspace", "replacement": "ab"})"), {"one character"}},
      {with(
           R"("pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})"),
       {"first"}},
      {with(
           R"("pre_tokenizer": {"type": "Metaspace", "replacement": "_", "add_prefix_space": false})"),
       {"disagree"}},
      {with(R"("pre_tokenizer": {"type": "Sequence", "pretokenizers": {}})"), {"an array"}},
      {with(R"("post_processor": {"type": "BertProcessing", "cls": ["a"], "sep": ["b", 1]})"),
       {"$.post_processor.cls"}},
      {with(
           R"("post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}], "special_tokens": {}})"),
       {"single[0]", "no sequence B"}},
      {with(R"("decoder": {"type": "Magic"})"), {"$.decoder.type", "ByteLevel"}},
      {with(R"("added_tokens": [{"id": -1}])"), {"$.added_tokens[0].id"}},
      {with(R"("added_tokens": [{"id": 1, "content": 3}])"),
       {"$.added_tokens[0].content", "a string"}},
      {with(R"("version": "2.0")"), {"$.version"}},
      {with(R"("normaliser": null)"), {"$:", "\"normaliser\"", "normalizer"}},
      {with(R"("decoder": {"type": "Replace", "pattern": {"String": "a", "x": 1}, "content": ""})"),
       {"$.decoder.pattern", "alone"}},
      {with(
           R"("post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}, "x": 1}], "special_tokens": {}})"),
       {"single[0]", "alone"}},
      {with(R"("added_tokens": [{"id": 1, "contents": "a"}])"), {"$.added_tokens[0].content"}},
  };
  for (const BadFile& file : files) {
    SCOPED_TRACE(file.json.substr(60));
    expect_error<c10::ValueError>([&] { make(file.json); }, file.words);
  }
}

TEST(Tokenizer, UnknownFieldsOfPartsArePassedOverAsThePackageDoesIt) {
  const auto tokenizer = make(R"({"normalizer": {"type": "Lowercase", "strict": true},
      "pre_tokenizer": {"type": "WhitespaceSplit", "base": 16}, "decoder": {"type": "Fuse", "x": 1},
      "post_processor": {"type": "TemplateProcessing", "x": {}, "single": [{"Sequence": {"id": "A", "x": 1}}],
                         "special_tokens": {}},
      "added_tokens": [{"id": 2, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                        "normalized": false, "special": true, "note": "start"}],
      "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1}, "noise": [1]}})");
  EXPECT_THAT(tokenizer->encode("<s>A b", /*add_special_tokens=*/true), ElementsAre(2, 1, 0));
}

// The text ends with what the pattern cannot match, and no letter is required beyond those that the
// text has: with one, PCRE2 may see at a glance that there is no match.
TEST(Tokenizer, PatternThatBacktracksWithoutEndIsAnError) {
  for (const std::string pattern : {"(a|aa)+$", "(?:a+)+$", "(?:a|a)*!!"}) {
    SCOPED_TRACE(pattern);
    const auto tokenizer =
        make(with(R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": ")" + pattern +
                  R"("}, "behavior": "Isolated", "invert": false})"));
    for (const size_t length : {400u, 100'000u}) {
      expect_error<c10::ValueError>([&] { tokenizer->encode(std::string(length, 'a') + "!"); },
                                    {"bounded work", pattern});
    }
  }
}

TEST(Tokenizer, CharactersWithoutAnIdNeedAnUnknownToken) {
  const auto tokenizer = make(R"({"model": {"type": "Unigram", "vocab": [["a", 0]]}})");
  expect_error<c10::ValueError>([&] { tokenizer->encode("ab"); }, {"\"b\"", "no unknown token"});
  const auto unknown =
      make(R"({"model": {"type": "WordLevel", "unk_token": "?", "vocab": {"a": 0}}})");
  expect_error<c10::ValueError>([&] { unknown->encode("b"); }, {"not in the vocabulary"});
}

TEST(Tokenizer, AMillionEqualLettersAreJoinedLikeAFew) {
  const auto tokenizer = make(
      R"({"model": {"type": "BPE", "vocab": {"a": 0, "aa": 1, "aaaa": 2}, "merges": ["a a", "aa aa"]}})");
  EXPECT_THAT(tokenizer->encode("aaaaaaa"), ElementsAre(2, 1, 0));
  const auto ids = tokenizer->encode(std::string(1'000'003, 'a'));
  EXPECT_EQ(ids.size(), 250'002u);
  EXPECT_EQ(ids.back(), 0);
}

// A hundred thousand hits, each beside white space that reaches far: no run is read once a hit.
TEST(Tokenizer, ManyAddedTokensTakeTheirWhiteSpaceOnce) {
  const auto tokenizer = make(with(
      R"("added_tokens": [{"id": 9, "content": " ", "single_word": false, "lstrip": true, "rstrip": true,
          "normalized": false, "special": false}])"));
  EXPECT_THAT(tokenizer->encode(std::string(1'000'000, ' ')), ElementsAre(1));
  EXPECT_THAT(tokenizer->encode("  x "), ElementsAre(1, 0, 1));
}

TEST(Tokenizer, OtherImplementationsAgreeIdForId) {
  if (laconic::testing::python().empty()) GTEST_SKIP() << laconic::testing::kNoPython;
  const auto program = laconic::testing::program().parent_path() / "laconic_tokenize";
  const auto result = laconic::testing::run_program(
      {laconic::testing::python(), "tests/tokenizer/compare_tokenizers.py", program.string()});
  EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
}

}  // namespace
}  // namespace laconic
