#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace laconic {

/// "1.5GiB", "800MB", "4000000000": a number above zero, then KB, MB, GB, TB (powers of 1000), KiB,
/// MiB, GiB, TiB (of 1024), or nothing (bytes); letters of either case. Nothing for another text,
/// or for more than 2^62 bytes.
std::optional<uint64_t> parse_byte_size(std::string_view text);

}  // namespace laconic
