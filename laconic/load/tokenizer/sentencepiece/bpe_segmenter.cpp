#include <algorithm>
#include <unordered_map>
#include <utility>

#include "laconic/load/tokenizer/sentencepiece/segmenter.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {

PieceTable::PieceTable(const SentencePieceProto& source) : proto(source) {
  using Type = SentencePieceProto::Type;
  for (size_t i = 0; i < proto.pieces.size(); ++i) {
    const auto& piece = proto.pieces[i];
    const auto id = static_cast<int64_t>(i);
    all.emplace(piece.text, id);
    if (piece.type == Type::kNormal || piece.type == Type::kUserDefined ||
        piece.type == Type::kUnused) {
      inside.emplace(piece.text, id);
    }
    if (piece.type == Type::kUserDefined) user_defined.add(piece.text, id);
    if (piece.type == Type::kUnknown) unknown = id;
  }
}

size_t PieceTable::user_defined_length(std::string_view text) const {
  size_t longest = 0;
  user_defined.for_each_prefix(text, [&](size_t length, int64_t) { longest = length; });
  return longest;
}

namespace {

struct Symbol {
  std::string_view text;  // empty: joined to the one before
  int64_t previous, next;
  bool frozen;
};

struct Candidate {
  float score;
  int64_t left, right;
  size_t size;
};

bool comes_later(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score < b.score : a.left > b.left;
}

/// One text on its way through the merges.
class Joiner {
 public:
  Joiner(const PieceTable& table, std::string_view text) : table_(table) {
    for (size_t at = 0; at < text.size();) {
      const size_t fixed = table.user_defined_length(text.substr(at));
      const size_t length = fixed > 0 ? fixed : sequence_length(text[at]);
      const auto index = static_cast<int64_t>(symbols_.size());
      at += length;
      symbols_.push_back({text.substr(at - length, length), index - 1,
                          at < text.size() ? index + 1 : -1, fixed > 0});
    }
    for (size_t i = 1; i < symbols_.size(); ++i)
      offer(static_cast<int64_t>(i) - 1, static_cast<int64_t>(i));
  }

  std::vector<Segment> run() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), comes_later);
      const Candidate top = heap_.back();
      heap_.pop_back();
      join(top);
    }
    std::vector<Segment> segments;
    for (const Symbol& symbol : symbols_) {
      if (!symbol.text.empty()) resegment(symbol.text, segments);
    }
    return segments;
  }

 private:
  Symbol& at(int64_t index) { return symbols_[static_cast<size_t>(index)]; }

  void offer(int64_t left, int64_t right) {
    if (left < 0 || right < 0 || at(left).frozen || at(right).frozen) return;
    // Neighbours lie side by side in the text.
    const std::string_view joint(at(left).text.data(),
                                 at(left).text.size() + at(right).text.size());
    const auto found = table_.inside.find(joint);
    if (found == table_.inside.end()) return;
    const auto& piece = table_.proto.pieces[static_cast<size_t>(found->second)];
    heap_.push_back({piece.score, left, right, joint.size()});
    std::push_heap(heap_.begin(), heap_.end(), comes_later);
    if (piece.type == SentencePieceProto::Type::kUnused) {
      halves_.insert_or_assign(joint, std::pair(at(left).text, at(right).text));
    }
  }

  void join(const Candidate& top) {
    Symbol& left = at(top.left);
    Symbol& right = at(top.right);
    if (left.text.empty() || right.text.empty() || left.text.size() + right.text.size() != top.size)
      return;
    left.text = std::string_view(left.text.data(), top.size);
    left.next = right.next;
    if (right.next >= 0) at(right.next).previous = top.left;
    right.text = {};
    offer(left.previous, top.left);
    offer(top.left, left.next);
  }

  // Unused pieces help to join, but do not come out: their halves do.
  void resegment(std::string_view text, std::vector<Segment>& segments) const {
    std::vector<std::string_view> waiting = {text};
    while (!waiting.empty()) {
      const std::string_view part = waiting.back();
      waiting.pop_back();
      const int64_t id = table_.id_of(part);
      const auto halves = halves_.find(part);
      if (table_.type_of(id) != SentencePieceProto::Type::kUnused || halves == halves_.end()) {
        segments.push_back({part, id});
        continue;
      }
      waiting.push_back(halves->second.second);
      waiting.push_back(halves->second.first);
    }
  }

  const PieceTable& table_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
  std::unordered_map<std::string_view, std::pair<std::string_view, std::string_view>> halves_;
};

class BpeSegmenter final : public Segmenter {
 public:
  explicit BpeSegmenter(const PieceTable& table) : table_(table) {}
  std::vector<Segment> split(std::string_view text) const override {
    return Joiner(table_, text).run();
  }

 private:
  const PieceTable& table_;
};

}  // namespace

std::unique_ptr<const Segmenter> make_bpe_segmenter(const PieceTable& table) {
  return std::make_unique<BpeSegmenter>(table);
}

}  // namespace laconic::tokenizer
