#include <algorithm>

#include "laconic/load/tokenizer/model/model.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

/// Longest token first, from left to right; a word with any part that is unknown is unknown whole.
class WordPiece final : public Model {
 public:
  explicit WordPiece(const JsonField& field)
      : Model(Vocabulary::read(field.at("vocab"))),
        unknown_(field.at("unk_token").string()),
        prefix_(field.at("continuing_subword_prefix").string()),
        longest_word_(field.at("max_input_chars_per_word").integer(0, INT64_MAX)) {}

  void encode(std::string_view word, std::vector<int64_t>& ids) const override {
    const size_t before = ids.size();
    const bool fits = count_code_points(word) <= static_cast<size_t>(longest_word_);
    if (fits && encode_parts(word, ids)) return;
    ids.resize(before);
    const int64_t unknown = vocabulary_.id_of(unknown_);
    if (unknown == Vocabulary::kNone) fail_unknown(word, unknown_);
    ids.push_back(unknown);
  }

 private:
  bool encode_parts(std::string_view word, std::vector<int64_t>& ids) const {
    std::string part;
    for (size_t start = 0; start < word.size();) {
      // No token is longer than the longest one: long words stay cheap.
      size_t end = std::min(word.size(), start + vocabulary_.longest());
      while (end < word.size() && (static_cast<uint8_t>(word[end]) & 0xC0) == 0x80) --end;
      int64_t id = Vocabulary::kNone;
      for (; end > start; end -= code_point_before(word, end).length) {
        part = start > 0 ? prefix_ : "";
        part += word.substr(start, end - start);
        id = vocabulary_.id_of(part);
        if (id != Vocabulary::kNone) break;
      }
      if (id == Vocabulary::kNone) return false;
      ids.push_back(id);
      start = end;
    }
    return true;
  }

  std::string unknown_, prefix_;
  int64_t longest_word_;
};

}  // namespace

std::unique_ptr<const Model> make_word_piece(const JsonField& field) {
  return std::make_unique<WordPiece>(field);
}

}  // namespace laconic::tokenizer
