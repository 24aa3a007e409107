#pragma once

#include <c10/util/flat_hash_map.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace laconic::tokenizer {

/// Byte strings with a number each; finds all that start a text.
class PrefixTrie {
 public:
  static constexpr int64_t kNone = -1;

  /// A string added twice has the later value. The empty string is never found.
  void add(std::string_view key, int64_t value) {
    uint32_t node = 0;
    for (const char c : key) {
      const auto [entry, is_new] =
          children_.emplace(edge(node, c), static_cast<uint32_t>(values_.size()));
      if (is_new) values_.push_back(kNone);
      node = entry->second;
    }
    values_[node] = value;
  }

  /// Calls `visit(size_t length, int64_t value)` for each string that starts `text`, shortest
  /// first.
  template <typename Visit>
  void for_each_prefix(std::string_view text, Visit visit) const {
    uint32_t node = 0;
    for (size_t at = 0; at < text.size(); ++at) {
      const auto next = children_.find(edge(node, text[at]));
      if (next == children_.end()) return;
      node = next->second;
      if (values_[node] != kNone) visit(at + 1, values_[node]);
    }
  }

 private:
  struct Mix {
    size_t operator()(uint64_t key) const {
      key *= 0x9E3779B97F4A7C15u;
      return key ^ key >> 32;
    }
  };
  static uint64_t edge(uint32_t node, char c) {
    return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(c);
  }

  ska::flat_hash_map<uint64_t, uint32_t, Mix> children_;
  std::vector<int64_t> values_ = {kNone};  // by node; 0 is the root
};

}  // namespace laconic::tokenizer
