#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "laconic/load/tokenizer/model/prefix_trie.h"
#include "laconic/load/tokenizer/model/vocabulary.h"
#include "laconic/load/tokenizer/sentencepiece/proto.h"

namespace laconic::tokenizer {

/// Pieces by text, as the segmenters ask for them.
struct PieceTable {
  explicit PieceTable(const SentencePieceProto& source);

  const SentencePieceProto& proto;
  StringMap<int64_t> all;     ///< every piece
  StringMap<int64_t> inside;  ///< pieces that text may hold: normal, user-defined, unused
  PrefixTrie user_defined;
  int64_t unknown = 0;

  int64_t id_of(std::string_view text) const {
    const auto found = all.find(text);
    return found == all.end() ? unknown : found->second;
  }
  SentencePieceProto::Type type_of(int64_t id) const {
    return proto.pieces[static_cast<size_t>(id)].type;
  }
  /// Bytes of the longest user-defined piece that starts `text`, 0 for none.
  size_t user_defined_length(std::string_view text) const;
};

/// A stretch of the normalized text and its id (the unknown id for what has none).
struct Segment {
  std::string_view text;
  int64_t id;
};

/// Splits a whole normalized text into pieces.
class Segmenter {
 public:
  virtual ~Segmenter() = default;
  virtual std::vector<Segment> split(std::string_view text) const = 0;
};

/// Joins the neighbours whose joint piece has the highest score, leftmost first (bpe_model.cc).
std::unique_ptr<const Segmenter> make_bpe_segmenter(const PieceTable& table);
/// The path with the largest sum of scores, in float as sentencepiece adds them (unigram_model.cc).
std::unique_ptr<const Segmenter> make_unigram_segmenter(const PieceTable& table);

}  // namespace laconic::tokenizer
