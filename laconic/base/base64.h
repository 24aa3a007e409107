#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace laconic {

/// The bytes behind RFC 4648's base64, padding optional; nothing when a character is not of its
/// alphabet.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace laconic
