#include <c10/util/Exception.h>

#include <cstring>

#include "laconic/export/gguf/rope_keys.h"
#include "laconic/export/gguf/vocabulary.h"

namespace laconic {
namespace {

// Fields of a protocol buffer message, one after the other; nothing is read beyond its end.
class Message {
 public:
  Message(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  // Moves to the next field; false at the end.
  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t tag = varint();
    number_ = tag >> 3;
    switch (tag & 7) {
      case 0:
        value_ = varint();
        return true;
      case 1:
        text_ = take(8);
        return true;
      case 2:
        text_ = take(varint());
        return true;
      case 5:
        text_ = take(4);
        return true;
      default:
        fail();
    }
  }
  uint64_t number() const { return number_; }
  uint64_t value() const { return value_; }
  std::string_view text() const { return text_; }
  float real() const {
    float number = 0;
    if (text_.size() == sizeof(number)) std::memcpy(&number, text_.data(), sizeof(number));
    return number;
  }

 private:
  uint64_t varint() {
    uint64_t result = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ >= bytes_.size()) fail();
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      result |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return result;
    }
    fail();
  }
  std::string_view take(uint64_t length) {
    if (length > bytes_.size() - at_) fail();
    at_ += length;
    return bytes_.substr(at_ - length, length);
  }
  [[noreturn]] void fail() const {
    TORCH_CHECK_VALUE(false, where_,
                      ": expected a SentencePiece model, got malformed data at byte ", at_,
                      " of a message. The file is damaged.");
  }

  std::string_view bytes_, text_;
  const std::string& where_;
  size_t at_ = 0;
  uint64_t number_ = 0, value_ = 0;
};

struct Piece {
  std::string text;
  float score = 0;
  uint64_t type = 1;
};

Piece read_piece(Message message) {
  Piece piece;
  while (message.next()) {
    if (message.number() == 1) piece.text = message.text();
    if (message.number() == 2) piece.score = message.real();
    if (message.number() == 3) piece.type = message.value();
  }
  return piece;
}

uint64_t number_in(Message message, uint64_t field, uint64_t otherwise) {
  while (message.next()) {
    if (message.number() == field) otherwise = message.value();
  }
  return otherwise;
}

}  // namespace

GgufVocabulary vocabulary_of_sentencepiece(const std::string& bytes, int64_t size,
                                           const std::string& where) {
  constexpr uint64_t kUnigram = 1, kBpe = 2, kModelType = 3, kDummyPrefix = 3;
  GgufVocabulary vocabulary = empty_vocabulary(size);
  vocabulary.kind = "llama";
  vocabulary.pre = "default";
  vocabulary.adds_space = true;
  vocabulary.begins_with_bos = true;
  vocabulary.scores.assign(static_cast<size_t>(size), 0);
  size_t count = 0;
  uint64_t model_type = kUnigram;
  Message message(bytes, where);
  while (message.next()) {
    if (message.number() == 2)
      model_type = number_in(Message(message.text(), where), kModelType, kUnigram);
    if (message.number() == 3)
      vocabulary.adds_space = number_in(Message(message.text(), where), kDummyPrefix, 1) != 0;
    if (message.number() != 1) continue;
    const Piece piece = read_piece(Message(message.text(), where));
    TORCH_CHECK_VALUE(
        count < vocabulary.tokens.size(), where, ": expected at most ", size,
        " pieces (vocab_size of the model), got more. Tokenizer and model do not belong together.");
    TORCH_CHECK_VALUE(piece.type >= 1 && piece.type <= 6, where, ": piece ", count,
                      ": expected a type from 1 to 6, got ", piece.type, ".");
    vocabulary.tokens[count] = piece.text;
    vocabulary.kinds[count] = static_cast<TokenKind>(piece.type);
    vocabulary.scores[count] = piece.score;
    if (piece.type == 2) vocabulary.unknown = static_cast<int64_t>(count);
    ++count;
  }
  TORCH_CHECK_VALUE(count > 0, where, ": expected pieces, got none. The file is damaged.");
  TORCH_CHECK_NOT_IMPLEMENTED(model_type == kBpe, where, ": expected a BPE model, got model_type ",
                              model_type,
                              ", which llama.cpp's SentencePiece does not split alike. ", kNearest);
  return vocabulary;
}

}  // namespace laconic
