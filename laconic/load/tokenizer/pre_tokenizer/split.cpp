#include "laconic/load/tokenizer/pre_tokenizer/split.h"

#include <algorithm>
#include <array>
#include <utility>

namespace laconic::tokenizer {
namespace {

// A match joins what stands before it, unless that is a match too.
std::vector<Span> merge_with_neighbour(const std::vector<Span>& spans) {
  std::vector<Span> merged;
  bool previous = false;
  for (const Span& span : spans) {
    if (span.is_match && !previous && !merged.empty()) {
      merged.back().begin = std::min(merged.back().begin, span.begin);
      merged.back().end = std::max(merged.back().end, span.end);
    } else {
      merged.push_back(span);
    }
    previous = span.is_match;
  }
  return merged;
}

std::vector<Span> merge_runs(const std::vector<Span>& spans) {
  std::vector<Span> merged;
  bool previous = false;
  for (const Span& span : spans) {
    if (span.is_match == previous && !merged.empty()) {
      merged.back().end = span.end;
    } else {
      merged.push_back(span);
    }
    previous = span.is_match;
  }
  return merged;
}

}  // namespace

SplitBehavior read_behavior(const JsonField& field) {
  static constexpr std::array<std::pair<const char*, SplitBehavior>, 5> kNames = {{
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  }};
  std::vector<std::string> known;
  for (const auto& [name, behavior] : kNames) {
    if (field.string() == name) return behavior;
    known.emplace_back(name);
  }
  field.fail_unknown("behavior", known);
}

std::vector<Span> arrange(std::vector<Span> spans, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return spans;
    case SplitBehavior::kRemoved:
      std::erase_if(spans, [](const Span& span) { return span.is_match; });
      return spans;
    case SplitBehavior::kContiguous:
      return merge_runs(spans);
    case SplitBehavior::kMergedWithPrevious:
      return merge_with_neighbour(spans);
    case SplitBehavior::kMergedWithNext:
      break;
  }
  std::reverse(spans.begin(), spans.end());
  spans = merge_with_neighbour(spans);
  std::reverse(spans.begin(), spans.end());
  return spans;
}

void append_spans(std::vector<Piece>& pieces, const Piece& whole, const std::vector<Span>& spans) {
  for (const Span& span : spans) {
    if (span.begin == span.end) continue;
    Piece piece;
    piece.text.assign(whole.text, span.begin, span.end - span.begin);
    piece.at_start = whole.at_start && span.begin == 0;
    pieces.push_back(std::move(piece));
  }
}

}  // namespace laconic::tokenizer
