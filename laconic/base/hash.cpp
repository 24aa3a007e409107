#include "laconic/base/hash.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>

#include "laconic/base/mapped_file.h"

namespace laconic {
namespace {

// Odd constants with bits well spread (digits of pi and of the golden ratio).
constexpr uint64_t kFirst = 0x9e3779b97f4a7c15u, kSecond = 0xa4093822299f31d1u;
constexpr size_t kChunk = size_t{8} << 20;  ///< of a file in memory at once

uint64_t scramble(uint64_t word) {
  word = (word ^ (word >> 32)) * kFirst;
  word = (word ^ (word >> 29)) * kSecond;
  return word ^ (word >> 32);
}

}  // namespace

// Each step is a bijection of the state for a given word, so no earlier difference is lost.
void Fingerprint::mix(uint64_t word) {
  state_[0] = std::rotl((state_[0] ^ word) * kFirst, 29);
  state_[1] = (std::rotl(state_[1], 41) + word) * kSecond + state_[0];
}

void Fingerprint::add(std::span<const std::byte> bytes) {
  const uint64_t length = bytes.size();
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    mix(word);
  }
  uint64_t last = 0;
  if (at < bytes.size()) std::memcpy(&last, bytes.data() + at, bytes.size() - at);
  mix(last);
  mix(length);
}

void Fingerprint::add_file(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  for (size_t begin = 0; begin < bytes.size(); begin += kChunk) {
    const size_t length = std::min(kChunk, bytes.size() - begin);
    add(bytes.subspan(begin, length));
    file->drop(begin, length);
  }
  mix(bytes.size());
}

std::string Fingerprint::text() const {
  const uint64_t first = scramble(state_[0] ^ std::rotl(state_[1], 17));
  const uint64_t second = scramble(state_[1] + first);
  std::array<char, 33> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx%016llx",
                static_cast<unsigned long long>(first), static_cast<unsigned long long>(second));
  return digits.data();
}

}  // namespace laconic
