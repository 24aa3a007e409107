#include <c10/util/Exception.h>

#include <algorithm>

#include "laconic/export/gguf/rope_keys.h"
#include "laconic/export/gguf/vocabulary.h"
#include "laconic/load/tokenizer/sentencepiece/proto.h"

namespace laconic {
namespace {

using tokenizer::SentencePieceProto;
using Model = SentencePieceProto::Model;

void check_model(const SentencePieceProto& proto, const std::string& where) {
  TORCH_CHECK_NOT_IMPLEMENTED(
      proto.model == Model::kBpe || proto.model == Model::kUnigram, where,
      ": expected a model of type BPE or Unigram, got one of words or characters, which llama.cpp "
      "does not have. ",
      kNearest);
  TORCH_CHECK_NOT_IMPLEMENTED(proto.escape_spaces && !proto.space_is_suffix, where,
                              ": expected spaces written as U+2581 before a word, got another "
                              "way, which llama.cpp's language models do not have. ",
                              kNearest);
}

}  // namespace

void check_unigram(GgufVocabulary& vocabulary, bool byte_fallback, const std::string& where) {
  TORCH_CHECK_NOT_IMPLEMENTED(
      !byte_fallback, where,
      ": byte_fallback: expected false for a Unigram model, got true. llama.cpp's has no tokens "
      "for bytes: every character without a token, often the line break, would become unknown. ",
      kNearest);
  TORCH_CHECK_NOT_IMPLEMENTED(
      vocabulary.adds_space || !vocabulary.removes_extra_spaces, where,
      ": expected a space before the text where extra spaces are removed, got none. llama.cpp's "
      "Unigram always puts one there. ",
      kNearest);
  const auto& kinds = vocabulary.kinds;
  if (std::find(kinds.begin(), kinds.end(), TokenKind::kUserDefined) == kinds.end()) return;
  vocabulary.notes.emplace_back(
      "llama.cpp does not normalize text that begins like a user-defined token: such text may get "
      "other ids.");
}

GgufVocabulary vocabulary_of_sentencepiece(const std::string& bytes, int64_t size,
                                           const std::string& where) {
  const SentencePieceProto proto = tokenizer::read_sentencepiece(bytes, where);
  check_model(proto, where);
  const bool unigram = proto.model == Model::kUnigram;
  TORCH_CHECK_VALUE(static_cast<int64_t>(proto.pieces.size()) <= size, where, ": expected at most ",
                    size, " pieces (vocab_size of the model), got ", proto.pieces.size(),
                    ". Tokenizer and model do not belong together.");
  GgufVocabulary vocabulary = empty_vocabulary(size);
  vocabulary.kind = unigram ? "t5" : "llama";
  vocabulary.pre = "default";
  vocabulary.adds_space = proto.add_dummy_prefix;
  vocabulary.begins_with_bos = true;
  vocabulary.scores.assign(static_cast<size_t>(size), 0);
  for (size_t id = 0; id < proto.pieces.size(); ++id) {
    const SentencePieceProto::Piece& piece = proto.pieces[id];
    vocabulary.tokens[id] = piece.text;
    vocabulary.kinds[id] = static_cast<TokenKind>(piece.type);
    vocabulary.scores[id] = piece.score;
    if (piece.type == SentencePieceProto::Type::kUnknown)
      vocabulary.unknown = static_cast<int64_t>(id);
  }
  vocabulary.bos = vocabulary.id_of(proto.bos_piece);
  vocabulary.eos = vocabulary.id_of(proto.eos_piece);
  if (unigram) {
    vocabulary.charsmap = proto.charsmap;
    vocabulary.removes_extra_spaces = proto.remove_extra_spaces;
    check_unigram(vocabulary, proto.byte_fallback, where);
  } else if (!proto.charsmap.empty() || proto.remove_extra_spaces) {
    vocabulary.notes.emplace_back(
        "The tokenizer normalizes text before it splits it, llama.cpp's does not: text in another "
        "form, or with two spaces together, gets other ids.");
  }
  return vocabulary;
}

}  // namespace laconic
