#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace laconic::tokenizer {

/// SentencePiece's precompiled_charsmap: a double-array trie from byte strings to replacements.
/// Layout: uint32 length of the trie in bytes, the trie's uint32 units, then replacements that end
/// with a NUL.
class Charsmap {
 public:
  Charsmap() = default;
  /// @throws c10::ValueError naming `where` when the blob is malformed.
  Charsmap(std::string_view blob, const std::string& where);

  bool empty() const { return units_.empty(); }

  struct Hit {
    size_t length = 0;  ///< bytes of the key; 0 when no key matches
    std::string_view replacement;
  };
  Hit shortest_prefix(std::string_view text) const { return prefix(text, true); }
  Hit longest_prefix(std::string_view text) const { return prefix(text, false); }

 private:
  Hit prefix(std::string_view text, bool first) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace laconic::tokenizer
