#pragma once

#include <string>
#include <string_view>

namespace laconic::tokenizer {

/// Members of a PCRE2 class that stand for an Oniguruma property, of Unicode 16.
struct PropertySet {
  std::string members;
  bool is_complement = false;  ///< the property holds where none of `members` does
};

/// @param name  as in \p{name} or [:name:]; one that no table has goes to PCRE2 as it is.
PropertySet property_set(std::string_view name);

/// White_Space.
std::string_view space_members();
/// \w inside a class.
const std::string& word_members();
/// \w outside of a class, and for word edges: Oniguruma counts the superscripts and fractions of
/// Latin-1 too.
const std::string& bare_word_members();

}  // namespace laconic::tokenizer
