#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/load/tokenizer/json_field.h"
#include "laconic/load/tokenizer/model/vocabulary.h"

namespace laconic::tokenizer {

/// Turns one word (what the pre-tokenizer left whole) into ids.
class Model {
 public:
  virtual ~Model() = default;

  /// Appends the ids of `word`, not empty.
  /// @throws c10::ValueError when a character has no id and the model has no unknown token.
  virtual void encode(std::string_view word, std::vector<int64_t>& ids) const = 0;

  /// Words repeat and their ids do not change: worth remembering within a text.
  virtual bool worth_caching() const { return true; }

  const Vocabulary& vocabulary() const { return vocabulary_; }

 protected:
  explicit Model(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  [[noreturn]] void fail_unknown(std::string_view word, std::string_view unknown_token) const;

  Vocabulary vocabulary_;
};

/// Makes the model that `field` describes (BPE, Unigram, WordPiece, WordLevel).
/// @throws c10::ValueError for an unknown kind or a wrong field.
std::unique_ptr<const Model> make_model(const JsonField& field);

std::unique_ptr<const Model> make_bpe(const JsonField& field);
std::unique_ptr<const Model> make_unigram(const JsonField& field);
std::unique_ptr<const Model> make_word_piece(const JsonField& field);
std::unique_ptr<const Model> make_word_level(const JsonField& field);

}  // namespace laconic::tokenizer
