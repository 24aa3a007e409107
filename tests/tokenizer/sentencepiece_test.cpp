#include <fstream>

#include "laconic/load/tokenizer/tokenizer.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using ::testing::ElementsAre;

constexpr int kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5;

std::string field(int number, int wire, const std::string& value) {
  return static_cast<char>(number << 3 | wire) + value;
}
std::string message(int number, const std::string& bytes) {
  return field(number, 2, static_cast<char>(bytes.size()) + bytes);
}
std::string piece(const std::string& text, float score, int type) {
  const std::string bits(reinterpret_cast<const char*>(&score), sizeof score);
  return message(1, message(1, text) + field(2, 5, bits) +
                        field(3, 0, std::string(1, static_cast<char>(type))));
}
std::string model_type(char type) { return message(2, field(3, 0, std::string(1, type))); }

const std::string kPieces = piece("<unk>", 0, kUnknown) + piece("<s>", 0, kControl) +
                            piece("\u2581", -1, kNormal) + piece("a", -2, kNormal) +
                            piece("b", -3, kNormal) + piece("ab", -1, kNormal);
const std::string kBpe = model_type(2), kUnigram = model_type(1);

std::shared_ptr<const Tokenizer> make_sentencepiece(const std::string& bytes) {
  return Tokenizer::from_sentencepiece(bytes, "t.model");
}

TEST(SentencePiece, BothModelsJoinTheLikeliestPieces) {
  for (const std::string& kind : {kBpe, kUnigram}) {
    const auto tokenizer = make_sentencepiece(kPieces + kind);
    EXPECT_THAT(tokenizer->encode("aba"), ElementsAre(2, 5, 3));
    EXPECT_THAT(tokenizer->encode(" a  b "), ElementsAre(2, 3, 2, 4));
    EXPECT_THAT(tokenizer->encode("a", /*add_special_tokens=*/true), ElementsAre(1, 2, 3));
    EXPECT_THAT(tokenizer->encode("xyz"), ElementsAre(2, 0));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab a")), "ab a");
    EXPECT_TRUE(tokenizer->encode("").empty());
    EXPECT_EQ(tokenizer->size(), 6);
  }
}

// The ids are those of the sentencepiece package. A model holds the mark, not the space: a piece
// with a space is kept by the normalizer, but never found in the marked text.
TEST(SentencePiece, UserDefinedPiecesAreNeverSplitNorJoined) {
  const auto encode = [](const std::string& fixed, const std::string& kind, const char* text) {
    return make_sentencepiece(kPieces + piece(fixed, 0, kUserDefined) + kind)->encode(text);
  };
  EXPECT_THAT(encode("b\u2581a", kBpe, "ab ab"), ElementsAre(2, 3, 6, 4));
  EXPECT_THAT(encode("ba", kBpe, "abab"), ElementsAre(2, 3, 6, 4));
  EXPECT_THAT(encode("\u2581a", kBpe, "ab ab"), ElementsAre(6, 4, 6, 4));
  EXPECT_THAT(encode("b a", kBpe, "ab ab"), ElementsAre(2, 5, 2, 5));
  EXPECT_THAT(encode("ba", kUnigram, "abab"), ElementsAre(2, 5, 5));
  EXPECT_THAT(encode("\u2581a", kUnigram, " a a"), ElementsAre(6, 6));
}

TEST(SentencePiece, UnusedPiecesComeApartAgain) {
  const auto tokenizer = make_sentencepiece(kPieces + piece("aba", -0.5F, kUnused) + kBpe);
  EXPECT_THAT(tokenizer->encode("aba"), ElementsAre(2, 5, 3));
}

TEST(SentencePiece, ConfigurationSaysWhichEndsATextGets) {
  const laconic::testing::TemporaryDirectory directory;
  std::ofstream(directory / "tokenizer.model", std::ios::binary)
      << kPieces + piece("</s>", 0, kControl) + kBpe;
  EXPECT_THAT(Tokenizer::load(directory.path())->encode("a", true), ElementsAre(1, 2, 3));
  std::ofstream(directory / "tokenizer_config.json")
      << R"({"add_bos_token": false, "add_eos_token": true})";
  EXPECT_THAT(Tokenizer::load(directory.path())->encode("a", true), ElementsAre(2, 3, 6));
}

TEST(SentencePiece, BrokenModelsAreRefused) {
  const std::string whole = kPieces + kBpe;
  for (size_t size : {size_t{1}, size_t{5}, kPieces.size() - 3, whole.size() - 1}) {
    expect_error<c10::ValueError>([&] { make_sentencepiece(whole.substr(0, size)); }, {"t.model"});
  }
  expect_error<c10::ValueError>([] { make_sentencepiece(""); }, {"one unknown piece"});
  expect_error<c10::ValueError>([] { make_sentencepiece("\x0F"); }, {"wire type"});
  expect_error<c10::ValueError>(
      [] { make_sentencepiece(std::string("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11)); },
      {"more bytes"});
  expect_error<c10::ValueError>(
      [] { make_sentencepiece(std::string("\x08") + std::string(12, '\xFF')); }, {"10 bytes"});
  expect_error<c10::ValueError>([] { make_sentencepiece(kPieces + piece("a", 0, kNormal)); },
                                {"\"a\" again"});
  expect_error<c10::ValueError>([] { make_sentencepiece(kPieces + piece("", 0, kNormal)); },
                                {"piece 6", "0 bytes"});
  expect_error<c10::ValueError>([] { make_sentencepiece(kPieces + piece("c", 0, 9)); },
                                {"type from 1 to 6"});
  expect_error<c10::ValueError>([] { make_sentencepiece(kPieces + piece("c", 0, 6)); }, {"<0x0A>"});
  expect_error<c10::ValueError>(
      [] {
        make_sentencepiece(kPieces + message(2, field(35, 0, "\x01").replace(0, 1, "\x98\x02")));
      },
      {"byte_fallback"});
  expect_error<c10::ValueError>([] { make_sentencepiece(kPieces + message(3, message(2, "xx"))); },
                                {"precompiled_charsmap"});
  expect_error<c10::ValueError>([] { make_sentencepiece(kPieces + model_type(9)); },
                                {"model_type"});
  expect_error<c10::NotImplementedError>([] { make_sentencepiece(kPieces + model_type(3)); },
                                         {"BPE or Unigram"});
  expect_error<c10::ValueError>([] { make_sentencepiece(kPieces)->encode("\xFF"); }, {"UTF-8"});
}

}  // namespace
}  // namespace laconic
