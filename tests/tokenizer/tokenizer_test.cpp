#include "laconic/load/tokenizer/tokenizer.h"

#include <cstdlib>
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

TEST(Tokenizer, OtherImplementationsAgreeIdForId) {
  const char* python = std::getenv("LACONIC_PYTHON");
  if (python == nullptr)
    GTEST_SKIP() << "LACONIC_PYTHON is not set: no other implementation to compare with";
  const auto program = laconic::testing::program().parent_path() / "laconic_tokenize";
  const auto result = laconic::testing::run_program(
      {python, "tests/tokenizer/compare_tokenizers.py", program.string()});
  EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
}

}  // namespace
}  // namespace laconic
