#include "laconic/load/tokenizer/pipeline.h"

#include <c10/util/Exception.h>
#include <c10/util/flat_hash_map.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "laconic/base/text.h"

namespace laconic::tokenizer {
namespace {

/// Remembers the ids of the words of one text, which repeat.
class WordCache {
 public:
  WordCache(const Model& model, std::vector<int64_t>& ids) : model_(model), ids_(ids) {}

  // `word` must live as long as the cache.
  void encode(std::string_view word) {
    constexpr size_t kLongest = 256;
    if (!model_.worth_caching() || word.size() > kLongest) {
      model_.encode(word, ids_);
      return;
    }
    const auto [entry, is_new] = known_.emplace(word, Range{ids_.size(), 0});
    if (is_new) {
      model_.encode(word, ids_);
      entry->second.count = ids_.size() - entry->second.first;
      return;
    }
    for (size_t i = 0; i < entry->second.count; ++i) ids_.push_back(ids_[entry->second.first + i]);
  }

 private:
  struct Range {
    size_t first, count;  // in ids_
  };
  const Model& model_;
  std::vector<int64_t>& ids_;
  ska::flat_hash_map<std::string_view, Range> known_;
};

}  // namespace

Pipeline::Pipeline(const JsonField& root) {
  root.expect_only(
      "version truncation padding added_tokens normalizer pre_tokenizer post_processor decoder "
      "model");
  if (const auto version = root.find("version"); version && version->string() != "1.0") {
    version->fail("\"1.0\"");
  }
  if (const auto field = root.find("normalizer")) normalizer_ = make_normalizer(*field);
  if (const auto field = root.find("pre_tokenizer")) pre_tokenizer_ = make_pre_tokenizer(*field);
  model_ = make_model(root.at("model"));
  if (const auto field = root.find("added_tokens"))
    added_ = AddedTokens(*field, *model_, normalizer_);
  if (const auto field = root.find("post_processor")) post_processor_ = make_post_processor(*field);
  if (const auto field = root.find("decoder")) decoder_ = make_decoder(*field);
}

std::vector<int64_t> Pipeline::encode(std::string_view text, bool add_special_tokens) const {
  size_t bad = 0;
  TORCH_CHECK_VALUE(is_utf8(text, &bad),
                    "[tokenizer] text: expected UTF-8, got a bad byte at offset ", bad, " of ",
                    text.size(), ". Convert the text to UTF-8.");
  std::vector<Piece> pieces = added_.split_raw(text);
  std::vector<Piece> normalized;
  for (Piece& piece : pieces) {
    if (piece.id != Piece::kText) {
      normalized.push_back(std::move(piece));
      continue;
    }
    if (normalizer_) normalizer_(piece);
    added_.split_normalized(piece, normalized);
  }
  if (pre_tokenizer_) pre_tokenizer_(normalized);
  std::vector<int64_t> ids;
  ids.reserve(text.size() / 3);
  WordCache cache(*model_, ids);
  for (const Piece& piece : normalized) {
    if (piece.id != Piece::kText) {
      ids.push_back(piece.id);
    } else if (!piece.text.empty()) {
      cache.encode(piece.text);
    }
  }
  if (add_special_tokens && post_processor_) post_processor_(ids);
  return ids;
}

std::string Pipeline::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const int64_t id : ids) {
    const std::string* token = added_.token_of(id);
    if (token == nullptr) token = model_->vocabulary().token_of(id);
    if (token == nullptr || (skip_special_tokens && added_.is_special(*token))) continue;
    tokens.push_back(*token);
  }
  if (!decoder_) return join(tokens, " ");
  decoder_(tokens);
  return join(tokens, "");
}

int64_t Pipeline::size() const {
  return std::max(model_->vocabulary().size(), added_.largest_id() + 1);
}

std::optional<int64_t> Pipeline::id_of(std::string_view token) const {
  int64_t id = added_.id_of(token);
  if (id == Vocabulary::kNone) id = model_->vocabulary().id_of(token);
  return id == Vocabulary::kNone ? std::nullopt : std::optional<int64_t>(id);
}

}  // namespace laconic::tokenizer
