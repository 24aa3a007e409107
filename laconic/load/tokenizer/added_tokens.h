#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "laconic/load/tokenizer/model/model.h"
#include "laconic/load/tokenizer/model/prefix_trie.h"
#include "laconic/load/tokenizer/pre_tokenizer/pre_tokenizer.h"

namespace laconic::tokenizer {

/// Tokens that are found in the text before the model sees it.
class AddedTokens {
 public:
  AddedTokens() = default;

  /// Reads "added_tokens". As in the package a token of the model keeps the model's id, and others
  /// are numbered on in the order of the file: the file's own "id" is checked to be a number, not
  /// used.
  /// @throws c10::ValueError for a wrong field, or two tokens that normalize to the same text.
  AddedTokens(const JsonField& field, const Model& model, const Normalizer& normalizer);

  /// Cuts the tokens that match the raw text out of it.
  std::vector<Piece> split_raw(std::string_view text) const;
  /// The same for tokens that match normalized text; `piece` is normalized already.
  void split_normalized(const Piece& piece, std::vector<Piece>& output) const;

  /// Vocabulary::kNone when absent.
  int64_t id_of(std::string_view token) const;
  /// What the decoder gets for `id`: the normalized form, or null when `id` is no added token.
  const std::string* token_of(int64_t id) const;
  bool is_special(std::string_view token) const { return special_.contains(token); }
  int64_t largest_id() const { return largest_id_; }

 private:
  struct Token {
    std::string content;
    bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = false;
    std::string shown;  // what is looked for in the text, and what the decoder gets
  };
  static Token read_token(const JsonField& field, const Normalizer& normalizer);
  void build_tries(const JsonField& field);
  void split(const Piece& whole, const PrefixTrie& trie, std::vector<Piece>& output) const;

  std::unordered_map<int64_t, Token> tokens_;
  StringMap<int64_t> ids_;
  StringMap<bool> special_;
  PrefixTrie raw_, normalized_;
  int64_t largest_id_ = -1;
};

}  // namespace laconic::tokenizer
