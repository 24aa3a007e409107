#include "laconic/load/tokenizer/sentencepiece/sentencepiece.h"

#include <c10/util/Exception.h>

#include "laconic/base/text.h"
#include "laconic/load/tokenizer/normalizer/charsmap.h"
#include "laconic/load/tokenizer/sentencepiece/proto.h"
#include "laconic/load/tokenizer/sentencepiece/segmenter.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

using Type = SentencePieceProto::Type;
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

class SentencePiece final : public Tokenizer {
 public:
  SentencePiece(std::string_view bytes, const std::string& where, SentenceEnds ends)
      : proto_(read_sentencepiece(bytes, where)),
        charsmap_(proto_.charsmap, where),
        table_(proto_),
        ends_(ends) {
    using Model = SentencePieceProto::Model;
    TORCH_CHECK_NOT_IMPLEMENTED(
        proto_.model == Model::kBpe || proto_.model == Model::kUnigram, "[tokenizer] ", where,
        ": expected a model of type BPE or Unigram, got one of words or characters. Convert "
        "it to tokenizer.json.");
    segmenter_ =
        proto_.model == Model::kBpe ? make_bpe_segmenter(table_) : make_unigram_segmenter(table_);
  }

  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override;
  int64_t size() const override { return static_cast<int64_t>(proto_.pieces.size()); }
  std::optional<int64_t> id_of(std::string_view token) const override {
    const auto found = table_.all.find(token);
    return found == table_.all.end() ? std::nullopt : std::optional<int64_t>(found->second);
  }

 private:
  struct Normalized {
    std::string_view text;
    size_t consumed;
  };
  Normalized normalize_prefix(std::string_view text) const;
  std::string normalize(std::string_view text) const;
  void append(const Segment& segment, bool after_unknown, std::vector<int64_t>& ids) const;
  void append_control(std::string_view piece, std::vector<int64_t>& ids) const;

  SentencePieceProto proto_;
  Charsmap charsmap_;
  PieceTable table_;  // looks into proto_
  std::unique_ptr<const Segmenter> segmenter_;
  SentenceEnds ends_;
};

SentencePiece::Normalized SentencePiece::normalize_prefix(std::string_view text) const {
  if (const size_t fixed = table_.user_defined_length(text); fixed > 0)
    return {text.substr(0, fixed), fixed};
  if (const Charsmap::Hit hit = charsmap_.longest_prefix(text); hit.length > 0)
    return {hit.replacement, hit.length};
  const size_t length = sequence_length(text[0]);
  return {text.substr(0, length), length};
}

std::string SentencePiece::normalize(std::string_view text) const {
  const bool squeeze = proto_.remove_extra_spaces;
  while (squeeze && !text.empty()) {
    const Normalized prefix = normalize_prefix(text);
    if (prefix.text != " ") break;
    text.remove_prefix(prefix.consumed);
  }
  std::string normal;
  if (text.empty()) return normal;
  const std::string_view space = proto_.escape_spaces ? kSpaceMark : std::string_view(" ");
  if (proto_.add_dummy_prefix && !proto_.space_is_suffix) normal += space;
  bool after_space = squeeze;
  while (!text.empty()) {
    Normalized prefix = normalize_prefix(text);
    text.remove_prefix(prefix.consumed);
    while (after_space && prefix.text.starts_with(' ')) prefix.text.remove_prefix(1);
    if (!prefix.text.empty()) after_space = squeeze && prefix.text.ends_with(' ');
    for (const char c : prefix.text) {
      if (c == ' ')
        normal += space;
      else
        normal += c;
    }
  }
  while (squeeze && normal.ends_with(space)) normal.resize(normal.size() - space.size());
  if (proto_.add_dummy_prefix && proto_.space_is_suffix) normal += space;
  return normal;
}

void SentencePiece::append(const Segment& segment, bool after_unknown,
                           std::vector<int64_t>& ids) const {
  if (table_.type_of(segment.id) != Type::kUnknown) {
    ids.push_back(segment.id);
  } else if (proto_.byte_fallback) {
    for (const char c : segment.text)
      ids.push_back(table_.id_of(byte_token(static_cast<uint8_t>(c))));
  } else if (!after_unknown) {
    ids.push_back(segment.id);  // a run of unknown characters is one unknown token
  }
}

void SentencePiece::append_control(std::string_view piece, std::vector<int64_t>& ids) const {
  const auto id = id_of(piece);
  if (id && table_.type_of(*id) == Type::kControl) ids.push_back(*id);
}

std::vector<int64_t> SentencePiece::encode(std::string_view text, bool add_special_tokens) const {
  size_t bad = 0;
  TORCH_CHECK_VALUE(is_utf8(text, &bad),
                    "[tokenizer] text: expected UTF-8, got a bad byte at offset ", bad, " of ",
                    text.size(), ". Convert the text to UTF-8.");
  const std::string normal = normalize(text);
  std::vector<int64_t> ids;
  if (add_special_tokens && ends_.bos) append_control(proto_.bos_piece, ids);
  bool after_unknown = false;
  for (const Segment& segment : segmenter_->split(normal)) {
    append(segment, after_unknown, ids);
    after_unknown = table_.type_of(segment.id) == Type::kUnknown;
  }
  if (add_special_tokens && ends_.eos) append_control(proto_.eos_piece, ids);
  return ids;
}

// Bytes that make no UTF-8 become one U+FFFD each.
void flush_bytes(std::string& bytes, std::string& text) {
  std::string_view rest = bytes;
  for (size_t bad = 0; !is_utf8(rest, &bad);) {
    text += rest.substr(0, bad);
    text += "\xEF\xBF\xBD";
    rest.remove_prefix(bad + 1);
  }
  text += rest;
  bytes.clear();
}

std::string SentencePiece::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::string text, bytes;
  const bool strips = proto_.add_dummy_prefix || proto_.remove_extra_spaces;
  bool stripped = false;
  for (const int64_t id : ids) {
    if (id < 0 || id >= size()) continue;
    const SentencePieceProto::Piece& piece = proto_.pieces[static_cast<size_t>(id)];
    if (piece.type == Type::kByte) {
      bytes.push_back(static_cast<char>(std::stoi(piece.text.substr(3, 2), nullptr, 16)));
      continue;
    }
    flush_bytes(bytes, text);
    if (piece.type == Type::kControl || (piece.type == Type::kUnknown && skip_special_tokens))
      continue;
    std::string_view shown = piece.type == Type::kUnknown ? proto_.unknown_surface : piece.text;
    // The space that the dummy prefix put in front goes away once; extra ones, when they are
    // removed, always.
    if (piece.type != Type::kUnknown && text.empty() && !stripped && strips &&
        shown.starts_with(kSpaceMark)) {
      shown.remove_prefix(kSpaceMark.size());
      stripped = !proto_.remove_extra_spaces;
    }
    text += piece.type == Type::kUnknown ? std::string(shown) : replace_all(shown, kSpaceMark, " ");
  }
  flush_bytes(bytes, text);
  return text;
}

}  // namespace

std::shared_ptr<const Tokenizer> make_sentencepiece(std::string_view bytes,
                                                    const std::string& where, SentenceEnds ends) {
  return std::make_shared<SentencePiece>(bytes, where, ends);
}

}  // namespace laconic::tokenizer
