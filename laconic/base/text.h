#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace laconic {

/// The word of `known` with the least edit distance to `word`, or "" when none is near (more than
/// half of the letters differ). Ties go to the first.
std::string nearest_word(std::string_view word, std::span<const std::string> known);

/// "; did you mean X?" when a near word exists, else "; expected one of A, B, C".
std::string suggestion(std::string_view word, std::span<const std::string> known);

/// `items` joined by `separator`.
std::string join(std::span<const std::string> items, std::string_view separator);

/// 1536 -> "1.5 KiB"; binary units, one decimal.
std::string readable_bytes(uint64_t bytes);

/// 3671 s -> "1 h 01 min"; 75 -> "1 min 15 s"; 4.2 -> "4.2 s".
std::string readable_seconds(double seconds);

/// True when `text` is well-formed UTF-8; otherwise `bad_offset` (if given) is the first bad byte.
bool is_utf8(std::string_view text, size_t* bad_offset = nullptr);

/// Shell-style pattern on a whole name: `*` any run of characters, `?` one. "re:..." is a regular
/// expression (ECMAScript) on the whole name.
/// @throws c10::ValueError for a malformed regular expression.
bool matches_pattern(std::string_view name, std::string_view pattern);

}  // namespace laconic
