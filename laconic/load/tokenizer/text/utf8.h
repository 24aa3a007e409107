#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace laconic::tokenizer {

/// One code point and the bytes that it takes.
struct CodePoint {
  char32_t value = 0;
  size_t length = 0;
};

/// The code point that starts at `text[at]`; `text` is well-formed UTF-8 (checked where it enters).
inline CodePoint code_point_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {static_cast<char32_t>((lead & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  if (lead < 0xF0) {
    return {static_cast<char32_t>((lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)),
            3};
  }
  return {static_cast<char32_t>((lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 |
                                (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F)),
          4};
}

/// The code point that ends just before `text[end]`, end > 0.
inline CodePoint code_point_before(std::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
  return code_point_at(text, start);
}

/// Bytes of the sequence that a lead byte announces.
inline size_t sequence_length(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

void append_utf8(std::string& text, char32_t value);

/// Number of code points.
size_t count_code_points(std::string_view text);

/// Well-formed UTF-8 from any bytes: each longest prefix of a broken sequence becomes one U+FFFD.
std::string lossy_utf8(std::string_view bytes);

/// The bytes of `text` in GPT-2's printable alphabet: one code point a byte, U+0021 to U+0143.
std::string to_byte_alphabet(std::string_view text);

/// Appends the bytes behind `text` to `bytes`; false (and nothing appended) when a code point is
/// not of the alphabet.
bool append_from_byte_alphabet(std::string& bytes, std::string_view text);

/// `text` with every `from` replaced by `to`, left to right; unchanged when `from` is empty.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

/// "<0x0A>" for 10: how vocabularies with byte fallback name a byte.
std::string byte_token(uint8_t byte);

}  // namespace laconic::tokenizer
