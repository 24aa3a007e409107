#pragma once

#include <string>
#include <string_view>

namespace laconic::tokenizer {

/// Properties of code points as the `tokenizers` package sees them: its parts were built with
/// several versions of Unicode, so each function names the version whose answer it gives.
bool is_whitespace(char32_t c);  ///< White_Space
bool is_word(
    char32_t c);  ///< \w: Alphabetic, marks, decimal digits, connectors, joiners, of Unicode 16
bool is_numeric(char32_t c);          ///< general category N of Unicode 17
bool is_punctuation(char32_t c);      ///< ASCII punctuation or general category P of Unicode 8
bool is_control(char32_t c);          ///< general category C without Cs and Cn, of Unicode 8
bool is_nonspacing_mark(char32_t c);  ///< general category Mn of Unicode 8
bool is_combining_mark(char32_t c);   ///< general category M of Unicode 9
bool is_chinese(char32_t c);          ///< the ideograph blocks that BERT puts spaces around

/// Full lower case of one code point, without context ("ẞ" -> "ß", "İ" -> "i̇").
void append_lowercase(std::string& text, char32_t c);

/// Of Unicode 9.
enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string normal_form(std::string_view text, NormalForm form);

/// Number of the script for the UnicodeScripts pre-tokenizer; kana count as Han, a space is
/// kAnyScript.
inline constexpr int kAnyScript = -1;
int script_class(char32_t c);

/// Calls `visit` with the bytes of each extended grapheme cluster of `text` in order.
void for_each_grapheme(std::string_view text,
                       void (*visit)(void* context, std::string_view cluster), void* context);

}  // namespace laconic::tokenizer
