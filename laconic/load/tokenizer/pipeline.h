#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/load/tokenizer/added_tokens.h"
#include "laconic/load/tokenizer/decoder/decoder.h"
#include "laconic/load/tokenizer/post_processor/post_processor.h"
#include "laconic/load/tokenizer/tokenizer.h"

namespace laconic::tokenizer {

/// What tokenizer.json describes: added tokens -> normalizer -> pre-tokenizer -> model ->
/// post-processor, and a decoder for the way back. "truncation" and "padding" are not read: callers
/// cut and pad.
class Pipeline final : public Tokenizer {
 public:
  /// @throws c10::ValueError naming file and path of the first wrong field.
  explicit Pipeline(const JsonField& root);

  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override;
  int64_t size() const override;
  std::optional<int64_t> id_of(std::string_view token) const override;

 private:
  Normalizer normalizer_;  // these may be empty
  PreTokenizer pre_tokenizer_;
  PostProcessor post_processor_;
  Decoder decoder_;
  std::unique_ptr<const Model> model_;
  AddedTokens added_;
};

}  // namespace laconic::tokenizer
