#include "laconic/load/tokenizer/added_tokens.h"

#include <algorithm>
#include <set>

#include "laconic/load/tokenizer/text/unicode.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

constexpr size_t kLongest = 4096;  // matching tries a token at every offset

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word(code_point_before(text, text.size()).value);
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(code_point_at(text, 0).value);
}

// Where the white space at the end of `text` starts.
size_t trailing_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const CodePoint point = code_point_before(text, end);
    if (!is_whitespace(point.value)) break;
    end -= point.length;
  }
  return end;
}

// Length of the white space at the start of `text`.
size_t leading_space(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = code_point_at(text, at);
    if (!is_whitespace(point.value)) break;
    at += point.length;
  }
  return at;
}

}  // namespace

AddedTokens::Token AddedTokens::read_token(const JsonField& field, const Normalizer& normalizer) {
  Token token;
  field.at("id").integer(0, UINT32_MAX);
  token.content = field.at("content").string();
  token.single_word = field.at("single_word").boolean();
  token.lstrip = field.at("lstrip").boolean();
  token.rstrip = field.at("rstrip").boolean();
  token.normalized = field.at("normalized").boolean();
  token.special = field.at("special").boolean();
  if (token.content.size() > kLongest) field.at("content").fail("at most 4096 bytes");
  Text shown{token.content, false};
  if (token.normalized && normalizer) normalizer(shown);
  token.shown = std::move(shown.text);
  return token;
}

AddedTokens::AddedTokens(const JsonField& field, const Model& model, const Normalizer& normalizer) {
  int64_t next = model.vocabulary().count();
  for (const JsonField& row : field.items()) {
    Token token = read_token(row, normalizer);
    if (token.content.empty()) continue;
    int64_t id = id_of(token.content);
    if (id == Vocabulary::kNone) id = model.vocabulary().id_of(token.content);
    if (id == Vocabulary::kNone) id = next++;
    if (token.shown.empty()) row.at("content").fail("text that the normalizer leaves something of");
    ids_[token.content] = id;
    if (token.special) special_[token.content] = true;
    largest_id_ = std::max(largest_id_, id);
    tokens_[id] = std::move(token);
  }
  build_tries(field);
}

void AddedTokens::build_tries(const JsonField& field) {
  std::set<std::pair<bool, std::string_view>> seen;
  for (const auto& [id, token] : tokens_) {
    if (!seen.insert({token.normalized, token.shown}).second) {
      field.fail("tokens that differ when normalized",
                 "Two of them become \"" + token.shown + "\".");
    }
    (token.normalized ? normalized_ : raw_).add(token.shown, id);
  }
}

int64_t AddedTokens::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? Vocabulary::kNone : found->second;
}

const std::string* AddedTokens::token_of(int64_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second.shown;
}

std::vector<Piece> AddedTokens::split_raw(std::string_view text) const {
  Piece whole;
  whole.text = text;
  whole.at_start = true;
  std::vector<Piece> pieces;
  split(whole, raw_, pieces);
  return pieces;
}

void AddedTokens::split_normalized(const Piece& piece, std::vector<Piece>& output) const {
  split(piece, normalized_, output);
}

// Leftmost first, the longest of those that start there; a token that is refused still uses up its
// text.
void AddedTokens::split(const Piece& whole, const PrefixTrie& trie,
                        std::vector<Piece>& output) const {
  const std::string_view text = whole.text;
  size_t covered = 0;
  size_t space_end = 0;  // of the last run of white space behind a token: no run is read twice
  const auto add = [&](size_t begin, size_t end, int64_t id) {
    if (begin >= end) return;
    Piece piece;
    piece.text = text.substr(begin, end - begin);
    piece.at_start = whole.at_start && begin == 0;
    piece.id = id;
    output.push_back(std::move(piece));
  };
  for (size_t at = 0; at < text.size();) {
    size_t length = 0;
    int64_t id = Vocabulary::kNone;
    trie.for_each_prefix(text.substr(at),
                         [&](size_t size, int64_t value) { length = size, id = value; });
    if (length == 0) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;
    const Token& token = tokens_.at(id);
    const bool inside_word =
        ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end));
    if (token.single_word && inside_word) continue;
    if (token.lstrip) {
      begin = std::max(begin, covered);
      begin = covered + trailing_space(text.substr(covered, begin - covered));
    }
    if (token.rstrip) {
      if (end >= space_end) space_end = end + leading_space(text.substr(end));
      end = space_end;
    }
    add(covered, begin, Piece::kText);
    add(begin, end, id);
    covered = end;
  }
  add(covered, text.size(), Piece::kText);
}

}  // namespace laconic::tokenizer
