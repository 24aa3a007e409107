#include "laconic/load/tokenizer/normalizer/charsmap.h"

#include <c10/util/Exception.h>

#include <cstring>

#include "laconic/base/text.h"

namespace laconic::tokenizer {
namespace {

// A unit: 8 bits of label (bit 31 marks a value), bit 8 "has a value", bit 9 and 10.. the offset to
// the children.
uint32_t label(uint32_t unit) { return unit & (0x80000000u | 0xFF); }
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value(uint32_t unit) { return unit & 0x7FFFFFFFu; }
size_t offset(uint32_t unit) { return static_cast<size_t>(unit >> 10) << ((unit & 0x200u) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& where) {
  if (blob.empty()) return;
  uint32_t bytes = 0;
  if (blob.size() >= sizeof bytes) std::memcpy(&bytes, blob.data(), sizeof bytes);
  TORCH_CHECK_VALUE(blob.size() > sizeof bytes && bytes >= 4 && bytes % 4 == 0 &&
                        bytes <= blob.size() - sizeof bytes,
                    "[tokenizer] ", where, ": precompiled_charsmap: expected a trie of at most ",
                    blob.size(), " bytes, got a length of ", bytes, ". Is the file whole?");
  units_.resize(bytes / 4);
  std::memcpy(units_.data(), blob.data() + sizeof bytes, bytes);
  replacements_ = blob.substr(sizeof bytes + bytes);
  size_t bad = 0;
  TORCH_CHECK_VALUE(
      is_utf8(replacements_, &bad), "[tokenizer] ", where,
      ": precompiled_charsmap: expected replacements in UTF-8, got a bad byte at offset ", bad,
      ". Is the file whole?");
}

Charsmap::Hit Charsmap::prefix(std::string_view text, bool first) const {
  Hit hit;
  if (units_.empty()) return hit;
  size_t node = offset(units_[0]);
  for (size_t at = 0; at < text.size() && text[at] != '\0'; ++at) {
    const auto byte = static_cast<uint8_t>(text[at]);
    node ^= byte;
    if (node >= units_.size() || label(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset(unit);
    if (!has_value(unit) || node >= units_.size()) continue;
    const size_t start = value(units_[node]);
    if (start > replacements_.size()) continue;
    const size_t end = std::min(replacements_.find('\0', start), replacements_.size());
    hit = {at + 1, std::string_view(replacements_).substr(start, end - start)};
    if (first) break;
  }
  return hit;
}

}  // namespace laconic::tokenizer
