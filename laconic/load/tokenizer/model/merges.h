#pragma once

#include <c10/util/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace laconic::tokenizer {

/// Pairs of ids that byte pair encoding joins: which comes first, and what comes out.
class Merges {
 public:
  struct Result {
    uint32_t rank = 0;
    int64_t id = 0;
  };

  void reserve(size_t count) { table_.reserve(count); }
  /// A pair given twice has the later rank.
  void set(int64_t left, int64_t right, Result result) { table_[key(left, right)] = result; }
  const Result* find(int64_t left, int64_t right) const {
    const auto found = table_.find(key(left, right));
    return found == table_.end() ? nullptr : &found->second;
  }

  /// Joins neighbours in `ids` in the order of their ranks, leftmost first, until none is left to
  /// join: a heap of candidates over a linked list, O(n log n).
  void apply(std::vector<int64_t>& ids) const;

 private:
  static uint64_t key(int64_t left, int64_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
  }
  // Keys are dense small numbers: they must be mixed.
  struct Mix {
    size_t operator()(uint64_t key) const {
      key ^= key >> 29;
      key *= 0xBF58476D1CE4E5B9u;
      return key ^ key >> 32;
    }
  };

  ska::flat_hash_map<uint64_t, Result, Mix> table_;
};

}  // namespace laconic::tokenizer
