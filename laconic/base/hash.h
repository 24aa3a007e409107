#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace laconic {

/// A fingerprint of bytes that tells changed files from unchanged ones at the speed of reading. Not
/// for security: someone who wants to can make two inputs alike.
class Fingerprint {
 public:
  /// Parts are told apart: ("ab", "c") is not ("a", "bc").
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }
  /// The contents of a file; its pages do not stay in memory. @throws c10::ValueError when it
  /// cannot be read.
  void add_file(const std::filesystem::path& path);
  /// 32 hexadecimal digits.
  std::string text() const;

 private:
  void mix(uint64_t word);
  uint64_t state_[2] = {0x243f6a8885a308d3u, 0x13198a2e03707344u};
};

}  // namespace laconic
