#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "laconic/load/tokenizer/pre_tokenizer/pre_tokenizer.h"
#include "laconic/load/tokenizer/regex/regex.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {

/// What becomes of the delimiters between words.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
/// @throws c10::ValueError for an unknown name (lists the known ones).
SplitBehavior read_behavior(const JsonField& field);

/// Joins or drops spans as `behavior` says; the result holds what to keep.
std::vector<Span> arrange(std::vector<Span> spans, SplitBehavior behavior);

/// Adds the stretches `spans` of `whole` that are not empty.
void append_spans(std::vector<Piece>& pieces, const Piece& whole, const std::vector<Span>& spans);

/// Replaces each piece of text by what `split(piece, std::vector<Piece>& output)` makes of it;
/// drops empty ones.
template <typename Split>
void split_pieces(std::vector<Piece>& pieces, Split split) {
  std::vector<Piece> output;
  output.reserve(pieces.size());
  for (Piece& piece : pieces) {
    if (piece.id != Piece::kText) {
      output.push_back(std::move(piece));
    } else if (!piece.text.empty()) {
      split(piece, output);
    }
  }
  pieces = std::move(output);
}

/// Each code point for which `is_delimiter` holds is a match of its own.
template <typename Predicate>
std::vector<Span> find_characters(std::string_view text, Predicate is_delimiter) {
  std::vector<Span> spans;
  size_t covered = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (is_delimiter(point.value)) {
      if (covered != at) spans.push_back({covered, at, false});
      covered = at + point.length;
      spans.push_back({at, covered, true});
    }
    at += point.length;
  }
  if (covered != text.size()) spans.push_back({covered, text.size(), false});
  return spans;
}

}  // namespace laconic::tokenizer
