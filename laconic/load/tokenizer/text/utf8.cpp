#include "laconic/load/tokenizer/text/utf8.h"

#include <algorithm>
#include <array>

#include "laconic/base/text.h"

namespace laconic::tokenizer {
namespace {

struct ByteAlphabet {
  std::array<std::string, 256> symbols;
  std::array<int, 0x144> bytes{};  // code point -> byte, -1 for none
};

ByteAlphabet make_byte_alphabet() {
  ByteAlphabet alphabet;
  alphabet.bytes.fill(-1);
  char32_t next = 0x100;  // unprintable bytes get the code points from here on, in order
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const char32_t value = printable ? static_cast<char32_t>(byte) : next++;
    append_utf8(alphabet.symbols[static_cast<size_t>(byte)], value);
    alphabet.bytes[value] = byte;
  }
  return alphabet;
}

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet = make_byte_alphabet();
  return alphabet;
}

// Bytes of the longest prefix of `bytes` that could start a code point, at least 1.
size_t broken_length(std::string_view bytes) {
  const size_t whole = std::min(sequence_length(bytes[0]), bytes.size());
  for (size_t length = whole; length > 1; --length) {
    // A prefix is good when some continuation makes it well-formed; the extremes are enough.
    for (const char filler : {'\x80', '\xBF', '\x90', '\x9F', '\xA0', '\x8F'}) {
      std::string probe(bytes.substr(0, length));
      const size_t missing = sequence_length(bytes[0]) - length;
      if (missing > 0) probe.append(missing, filler);
      if (is_utf8(probe)) return length;
    }
  }
  return 1;
}

}  // namespace

void append_utf8(std::string& text, char32_t value) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | value >> 6);
    put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | value >> 12);
    put(0x80 | (value >> 6 & 0x3F));
    put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | value >> 18);
    put(0x80 | (value >> 12 & 0x3F));
    put(0x80 | (value >> 6 & 0x3F));
    put(0x80 | (value & 0x3F));
  }
}

size_t count_code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

std::string lossy_utf8(std::string_view bytes) {
  std::string text;
  size_t bad = 0;
  while (!is_utf8(bytes, &bad)) {
    text += bytes.substr(0, bad);
    text += "\uFFFD";
    bytes.remove_prefix(bad);
    bytes.remove_prefix(broken_length(bytes));
  }
  return text.append(bytes);
}

std::string to_byte_alphabet(std::string_view text) {
  std::string symbols;
  symbols.reserve(text.size() + text.size() / 4);
  for (const char c : text) symbols += byte_alphabet().symbols[static_cast<uint8_t>(c)];
  return symbols;
}

bool append_from_byte_alphabet(std::string& bytes, std::string_view text) {
  const size_t before = bytes.size();
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const int byte = point.value < 0x144 ? byte_alphabet().bytes[point.value] : -1;
    if (byte < 0) {
      bytes.resize(before);
      return false;
    }
    bytes.push_back(static_cast<char>(byte));
    at += point.length;
  }
  return true;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) return std::string(text);
  std::string replaced;
  size_t at = 0;
  for (size_t hit = text.find(from); hit != std::string_view::npos; hit = text.find(from, at)) {
    replaced += text.substr(at, hit - at);
    replaced += to;
    at = hit + from.size();
  }
  return replaced.append(text.substr(at));
}

std::string byte_token(uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">";
}

}  // namespace laconic::tokenizer
