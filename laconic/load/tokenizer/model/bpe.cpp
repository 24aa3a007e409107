#include <c10/util/Exception.h>

#include <array>
#include <nlohmann/json.hpp>

#include "laconic/load/tokenizer/model/merges.h"
#include "laconic/load/tokenizer/model/model.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

/// Byte pair encoding: characters, joined pair by pair in the order of the merges.
class Bpe final : public Model {
 public:
  explicit Bpe(const JsonField& field);
  void encode(std::string_view word, std::vector<int64_t>& ids) const override;

 private:
  void read_merges(const JsonField& field);
  void add_merge(const JsonField& at, std::string_view left, std::string_view right, size_t rank);
  int64_t merge_part(const JsonField& at, std::string_view token) const;
  bool append_bytes(std::string_view symbol, std::vector<int64_t>& ids) const;
  std::string_view symbol(std::string_view word, size_t start, size_t end,
                          std::string& buffer) const;
  int64_t unknown_id(std::string_view symbol) const;

  Merges merges_;
  std::optional<std::string> unknown_;
  int64_t unknown_id_ = Vocabulary::kNone;
  std::string prefix_, suffix_;
  bool fuse_unknown_, byte_fallback_, ignore_merges_;
  std::array<int64_t, 256> byte_ids_;
};

Bpe::Bpe(const JsonField& field)
    : Model(Vocabulary::read(field.at("vocab"))),
      prefix_(field.string_or("continuing_subword_prefix", "")),
      suffix_(field.string_or("end_of_word_suffix", "")),
      fuse_unknown_(field.boolean_or("fuse_unk", false)),
      byte_fallback_(field.boolean_or("byte_fallback", false)),
      ignore_merges_(field.boolean_or("ignore_merges", false)),
      byte_ids_(byte_fallback_ids(vocabulary_)) {
  if (const auto dropout = field.find("dropout"); dropout && dropout->number() != 0) {
    dropout->fail("null or 0", "Dropout makes ids random; it is for training. Set it to null.");
  }
  if (const auto unknown = field.find("unk_token")) {
    unknown_ = unknown->string();
    unknown_id_ = vocabulary_.id_of(*unknown_);
  }
  read_merges(field.at("merges"));
}

void Bpe::read_merges(const JsonField& field) {
  if (!field.is_array()) field.fail("an array of merges");
  const nlohmann::json& rows = field.json();
  merges_.reserve(rows.size());
  size_t rank = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const nlohmann::json& row = rows[i];
    if (row.is_string()) {
      const std::string_view text = row.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        field.item(i).fail("two tokens with one space between");
      }
      add_merge(field.item(i), text.substr(0, space), text.substr(space + 1), rank++);
    } else {
      const bool pair =
          row.is_array() && row.size() == 2 && row[0].is_string() && row[1].is_string();
      if (!pair) field.item(i).fail("\"left right\" or [\"left\", \"right\"]");
      add_merge(field.item(i), row[0].get_ref<const std::string&>(),
                row[1].get_ref<const std::string&>(), rank++);
    }
  }
}

int64_t Bpe::merge_part(const JsonField& at, std::string_view token) const {
  const int64_t id = vocabulary_.id_of(token);
  if (id == Vocabulary::kNone) {
    at.fail("tokens of the vocabulary", "\"" + std::string(token) + "\" is not in model.vocab.");
  }
  return id;
}

void Bpe::add_merge(const JsonField& at, std::string_view left, std::string_view right,
                    size_t rank) {
  const int64_t left_id = merge_part(at, left);
  const int64_t right_id = merge_part(at, right);
  if (right.size() < prefix_.size())
    at.fail("a right part that starts with continuing_subword_prefix");
  const std::string joined = std::string(left) + std::string(right.substr(prefix_.size()));
  merges_.set(left_id, right_id, {static_cast<uint32_t>(rank), merge_part(at, joined)});
}

std::string_view Bpe::symbol(std::string_view word, size_t start, size_t end,
                             std::string& buffer) const {
  const bool prefixed = start > 0 && !prefix_.empty();
  const bool suffixed = end == word.size() && !suffix_.empty();
  const std::string_view plain = word.substr(start, end - start);
  if (!prefixed && !suffixed) return plain;
  buffer.clear();
  if (prefixed) buffer += prefix_;
  buffer += plain;
  if (suffixed) buffer += suffix_;
  return buffer;
}

bool Bpe::append_bytes(std::string_view symbol, std::vector<int64_t>& ids) const {
  for (const char c : symbol) {
    if (byte_ids_[static_cast<uint8_t>(c)] == Vocabulary::kNone) return false;
  }
  for (const char c : symbol) ids.push_back(byte_ids_[static_cast<uint8_t>(c)]);
  return true;
}

int64_t Bpe::unknown_id(std::string_view symbol) const {
  if (unknown_id_ == Vocabulary::kNone) fail_unknown(symbol, *unknown_);
  return unknown_id_;
}

void Bpe::encode(std::string_view word, std::vector<int64_t>& ids) const {
  if (ignore_merges_) {
    if (const int64_t id = vocabulary_.id_of(word); id != Vocabulary::kNone) {
      ids.push_back(id);
      return;
    }
  }
  std::vector<int64_t> symbols;
  symbols.reserve(word.size());
  std::string buffer;
  // An unknown character waits: the package writes it before the next known one, or at the end, and
  // so behind bytes of a fallback in between. Without an unknown token the character is left out.
  bool unknown_waits = false;
  for (size_t start = 0; start < word.size();) {
    const size_t end = start + sequence_length(word[start]);
    const std::string_view text = symbol(word, start, end, buffer);
    start = end;
    const int64_t id = vocabulary_.id_of(text);
    if (id != Vocabulary::kNone) {
      if (unknown_waits) symbols.push_back(unknown_id_);
      unknown_waits = false;
      symbols.push_back(id);
    } else if (!(byte_fallback_ && append_bytes(text, symbols)) && unknown_) {
      if (unknown_waits && !fuse_unknown_) symbols.push_back(unknown_id_);
      unknown_waits = unknown_id(text) != Vocabulary::kNone;
    }
  }
  if (unknown_waits) symbols.push_back(unknown_id_);
  merges_.apply(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

}  // namespace

std::unique_ptr<const Model> make_bpe(const JsonField& field) {
  return std::make_unique<Bpe>(field);
}

}  // namespace laconic::tokenizer
