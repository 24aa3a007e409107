#pragma once

#include <span>
#include <string>
#include <string_view>

namespace laconic::tokenizer {

/// Code points that Unicode 15.0 to 16.0 assigned, with their general category: younger than the
/// tables of PCRE2 10.42 and ICU 72, but known to the regular expressions of the `tokenizers`
/// package.
struct NewCodePoints {
  char32_t first, last;
  std::string_view category;
};
std::span<const NewCodePoints> new_code_points();

/// Category of a new code point, or "" when `c` is none.
std::string_view new_category(char32_t c);

/// The new code points whose category starts with `category` ("L", "Lu"), as members of a PCRE2
/// class.
std::string new_members(std::string_view category);

}  // namespace laconic::tokenizer
