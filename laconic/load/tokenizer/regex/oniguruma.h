#pragma once

#include <string>
#include <string_view>

namespace laconic::tokenizer {

/// Rewrites an Oniguruma (Ruby syntax) expression for PCRE2 (UTF, UCP, multi-line):
///   \s \w \h         Unicode's White_Space, the word property, hexadecimal digits
///   \p{Han}          the script itself, not its extensions; long names of categories; POSIX-like
///   names [a[b]&&[^c]]     unions and intersections inside a class, as groups with a look-ahead
///   (?m)             "dot matches all", which PCRE2 spells (?s)
///   X{n,m}+          a repeated interval: possessive in PCRE2, greedy in Ruby;  X{,n} is X{0,n}
/// What is equal in both passes as it is.
/// @throws c10::ValueError for a class that does not end, with the offset.
std::string to_pcre2(std::string_view expression, const std::string& where);

}  // namespace laconic::tokenizer
