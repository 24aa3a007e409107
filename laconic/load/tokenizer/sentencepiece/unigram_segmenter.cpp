#include <algorithm>
#include <limits>

#include "laconic/load/tokenizer/sentencepiece/segmenter.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

using Type = SentencePieceProto::Type;
constexpr float kUnknownPenalty = 10;

class UnigramSegmenter final : public Segmenter {
 public:
  explicit UnigramSegmenter(const PieceTable& table) : table_(table) {
    float lowest = std::numeric_limits<float>::max();
    highest_ =
        std::numeric_limits<float>::min();  // as sentencepiece starts: the smallest positive one
    for (size_t id = 0; id < table.proto.pieces.size(); ++id) {
      const auto& piece = table.proto.pieces[id];
      const bool used = piece.type == Type::kNormal || piece.type == Type::kUserDefined;
      if (used) trie_.add(piece.text, static_cast<int64_t>(id));
      if (piece.type != Type::kNormal) continue;
      lowest = std::min(lowest, piece.score);
      highest_ = std::max(highest_, piece.score);
    }
    unknown_score_ = lowest - kUnknownPenalty;
  }

  std::vector<Segment> split(std::string_view text) const override {
    const std::vector<Node> nodes = best_paths(text);
    std::vector<Segment> segments;
    for (size_t end = text.size(); end > 0; end = nodes[end].start) {
      const Node& node = nodes[end];
      segments.push_back({text.substr(node.start, end - node.start), node.id});
    }
    std::reverse(segments.begin(), segments.end());
    return segments;
  }

 private:
  static constexpr size_t kNowhere = static_cast<size_t>(-1);
  struct Node {
    float score = 0;
    int64_t id = 0;
    size_t start = kNowhere;
  };

  // A user-defined piece is as good as certain.
  float score_of(int64_t id, size_t length) const {
    if (table_.type_of(id) == Type::kUserDefined)
      return static_cast<float>(static_cast<float>(length) * highest_ - 0.1);
    return table_.proto.pieces[static_cast<size_t>(id)].score;
  }

  // Sums of a long text lose the digits that tell two splits apart. As in sentencepiece, they start
  // anew once they are this far down.
  static void rebase(std::vector<Node>& nodes, size_t start, size_t reach) {
    constexpr float kLowest = -100'000;
    const float base = nodes[start].score;
    if (base >= kLowest) return;
    for (size_t at = start; at <= reach; ++at) nodes[at].score -= base;
  }

  std::vector<Node> best_paths(std::string_view text) const {
    std::vector<Node> nodes(text.size() + 1);
    size_t reach = 0;  // the last node that has a score
    const auto offer = [&](size_t start, size_t end, float score, int64_t id) {
      Node& node = nodes[end];
      const float total = score + nodes[start].score;
      reach = std::max(reach, end);
      if (node.start == kNowhere || total > node.score) node = {total, id, start};
    };
    for (size_t start = 0; start < text.size();) {
      rebase(nodes, start, reach);
      const size_t length = sequence_length(text[start]);
      bool has_single = false;
      trie_.for_each_prefix(text.substr(start), [&](size_t size, int64_t id) {
        offer(start, start + size, score_of(id, size), id);
        has_single = has_single || size == length;
      });
      if (!has_single) offer(start, start + length, unknown_score_, table_.unknown);
      start += length;
    }
    return nodes;
  }

  const PieceTable& table_;
  PrefixTrie trie_;
  float highest_ = 0, unknown_score_ = 0;
};

}  // namespace

std::unique_ptr<const Segmenter> make_unigram_segmenter(const PieceTable& table) {
  return std::make_unique<UnigramSegmenter>(table);
}

}  // namespace laconic::tokenizer
