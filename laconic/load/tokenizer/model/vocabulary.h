#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "laconic/load/tokenizer/json_field.h"

namespace laconic::tokenizer {

/// Hash of strings that also takes views.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// Tokens <-> ids of a model.
class Vocabulary {
 public:
  static constexpr int64_t kNone = -1;

  Vocabulary() = default;
  Vocabulary(Vocabulary&&) =
      default;  // tokens_ looks into the others: a copy would look into the old one
  Vocabulary& operator=(Vocabulary&&) = default;

  /// Reads {"token": id}. @throws c10::ValueError for an id that is no number, negative, held
  /// twice, or so large that most ids below it have no token.
  static Vocabulary read(const JsonField& field);

  /// Token `i` of `tokens` has id i; of equal tokens the last one is found.
  static Vocabulary from_list(std::vector<std::string> tokens);

  int64_t id_of(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? kNone : found->second;
  }
  /// Null when no token has this id.
  const std::string* token_of(int64_t id) const;

  /// Number of tokens.
  int64_t count() const { return static_cast<int64_t>(ids_.size()); }
  /// Largest id + 1.
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  /// Bytes of the longest token.
  size_t longest() const { return longest_; }

 private:
  StringMap<int64_t> ids_;
  std::vector<const std::string*> tokens_;  // by id, null for a hole; looks into ids_ or list_
  std::vector<std::string> list_;
  size_t longest_ = 0;
};

/// Ids of "<0x00>" to "<0xFF>", kNone where absent.
std::array<int64_t, 256> byte_fallback_ids(const Vocabulary& vocabulary);

}  // namespace laconic::tokenizer
