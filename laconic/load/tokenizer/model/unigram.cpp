#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <limits>

#include "laconic/load/tokenizer/model/model.h"
#include "laconic/load/tokenizer/model/prefix_trie.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10;

/// The split of a word into tokens with the largest sum of scores (Viterbi). Kudo 2018,
/// arXiv:1804.10959.
class Unigram final : public Model {
 public:
  explicit Unigram(const JsonField& field);
  void encode(std::string_view word, std::vector<int64_t>& ids) const override;

 private:
  struct Node {
    double score = 0;
    int64_t id = 0;
    size_t start = kNowhere;
  };
  static constexpr size_t kNowhere = static_cast<size_t>(-1);

  static Vocabulary read_tokens(const JsonField& field);
  std::vector<Node> best_paths(std::string_view word) const;
  void append(std::string_view part, std::vector<int64_t>& ids) const;

  std::vector<double> scores_;
  double unknown_score_ = 0;
  int64_t unknown_id_ = Vocabulary::kNone;
  bool byte_fallback_;
  std::array<int64_t, 256> byte_ids_;
  PrefixTrie trie_;
};

Vocabulary Unigram::read_tokens(const JsonField& field) {
  std::vector<std::string> tokens;
  for (const JsonField& row : field.items()) tokens.push_back(row.item(0).string());
  return Vocabulary::from_list(std::move(tokens));
}

Unigram::Unigram(const JsonField& field)
    : Model(read_tokens(field.at("vocab"))),
      byte_fallback_(field.boolean_or("byte_fallback", false)),
      byte_ids_(byte_fallback_ids(vocabulary_)) {
  const JsonField rows = field.at("vocab");
  double lowest = std::numeric_limits<double>::infinity();
  for (const JsonField& row : rows.items()) {
    scores_.push_back(row.item(1).number());
    lowest = std::min(lowest, scores_.back());
    const std::string& token = row.item(0).string();
    trie_.add(token, vocabulary_.id_of(token));
  }
  unknown_score_ = lowest - kUnknownPenalty;
  if (const auto unknown = field.find("unk_id")) {
    unknown_id_ = unknown->integer(0, std::max<int64_t>(vocabulary_.size() - 1, 0));
    if (vocabulary_.size() == 0) rows.fail("at least the unknown token");
  }
}

std::vector<Unigram::Node> Unigram::best_paths(std::string_view word) const {
  std::vector<Node> nodes(word.size() + 1);
  const auto offer = [&](size_t start, size_t end, double score, int64_t id) {
    Node& node = nodes[end];
    const double total = score + nodes[start].score;
    if (node.start == kNowhere || total > node.score) node = {total, id, start};
  };
  for (size_t start = 0; start < word.size();) {
    const size_t length = sequence_length(word[start]);
    bool has_single = false;
    trie_.for_each_prefix(word.substr(start), [&](size_t size, int64_t id) {
      offer(start, start + size, scores_[static_cast<size_t>(id)], id);
      has_single = has_single || size == length;
    });
    if (!has_single) {
      if (unknown_id_ == Vocabulary::kNone) fail_unknown(word.substr(start, length), "");
      offer(start, start + length, unknown_score_, unknown_id_);
    }
    start += length;
  }
  return nodes;
}

// A part may be unknown characters run together: it gets the id of its text, else of its bytes,
// else unknown.
void Unigram::append(std::string_view part, std::vector<int64_t>& ids) const {
  const int64_t id = vocabulary_.id_of(part);
  if (id != Vocabulary::kNone) {
    ids.push_back(id);
    return;
  }
  const bool all_bytes = byte_fallback_ && std::all_of(part.begin(), part.end(), [&](char c) {
                           return byte_ids_[static_cast<uint8_t>(c)] != Vocabulary::kNone;
                         });
  if (all_bytes) {
    for (const char c : part) ids.push_back(byte_ids_[static_cast<uint8_t>(c)]);
    return;
  }
  if (unknown_id_ == Vocabulary::kNone) fail_unknown(part, "");
  ids.push_back(unknown_id_);
}

void Unigram::encode(std::string_view word, std::vector<int64_t>& ids) const {
  const std::vector<Node> nodes = best_paths(word);
  std::vector<std::string_view> parts;  // last one first
  bool unknown_before = false;
  for (size_t end = word.size(); end > 0; end = nodes[end].start) {
    const Node& node = nodes[end];
    const bool unknown = node.id == unknown_id_;
    if (unknown && unknown_before) {
      const size_t tail = parts.back().size();
      parts.back() = word.substr(node.start, end - node.start + tail);
    } else {
      parts.push_back(word.substr(node.start, end - node.start));
    }
    unknown_before = unknown;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) append(*part, ids);
}

}  // namespace

std::unique_ptr<const Model> make_unigram(const JsonField& field) {
  return std::make_unique<Unigram>(field);
}

}  // namespace laconic::tokenizer
