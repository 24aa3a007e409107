#include "laconic/load/tokenizer/regex/properties.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "laconic/load/tokenizer/text/new_code_points.h"

namespace laconic::tokenizer {
namespace {

constexpr std::string_view kSpace =
    "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{"
    "3000}";

// Names that the two libraries spell or mean differently, lower case without separators.
constexpr std::pair<std::string_view, std::string_view> kProperties[] = {
    {"letter", "L"},
    {"casedletter", "L&"},
    {"lc", "L&"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"combiningmark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"other", "C"},
    {"control", "Cc"},
    {"format", "Cf"},
    {"surrogate", "Cs"},
    {"privateuse", "Co"},
    {"unassigned", "Cn"},
    {"alpha", "Alphabetic"},
    {"upper", "Uppercase"},
    {"lower", "Lowercase"},
    {"digit", "Nd"},
    {"cntrl", "Cc"},
    {"space", "White_Space"},
    {"whitespace", "White_Space"},
    {"han", "sc:Han"},
    {"hiragana", "sc:Hiragana"},
    {"katakana", "sc:Katakana"},
    {"latin", "sc:Latin"},
    {"cyrillic", "sc:Cyrillic"},
    {"greek", "sc:Greek"},
    {"arabic", "sc:Arabic"},
    {"devanagari", "sc:Devanagari"},
    {"common", "sc:Common"},
};

// Scripts beyond the table above: any name that PCRE2 knows as a script is asked for as one.
constexpr std::array<std::string_view, 24> kScripts = {
    "hangul",    "hebrew",    "thai",     "bengali",   "tamil",    "telugu",
    "kannada",   "malayalam", "gujarati", "gurmukhi",  "oriya",    "sinhala",
    "lao",       "tibetan",   "myanmar",  "georgian",  "ethiopic", "khmer",
    "mongolian", "armenian",  "bopomofo", "inherited", "syriac",   "thaana"};

std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != '_' && c != ' ' && c != '-') {
      plain.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    }
  }
  return plain;
}

// What PCRE2 calls the property that Oniguruma calls `name`.
std::string pcre2_name(std::string_view name) {
  const std::string plain = plain_name(name);
  if (plain == "lc") return "L&";
  for (const auto& [from, to] : kProperties) {
    if (plain == from) return std::string(to);
  }
  const bool script = std::find(kScripts.begin(), kScripts.end(), plain) != kScripts.end();
  return script ? "sc:" + plain : std::string(name);
}

// Code points that are alphabetic or lower case for Unicode 16, and were marks and the like before.
constexpr std::string_view kNewAlphabetic =
    "\\x{363}-\\x{36f}\\x{897}\\x{c04}\\x{cf3}\\x{f82}\\x{f83}\\x{1dd3}-\\x{1de6}\\x{10d69}"
    "\\x{10efc}\\x{11080}\\x{11081}\\x{11241}\\x{113b8}-\\x{113c0}\\x{113c2}\\x{113c5}"
    "\\x{113c7}-\\x{113ca}\\x{113cc}\\x{113cd}\\x{11f00}\\x{11f01}\\x{11f03}"
    "\\x{11f34}-\\x{11f3a}\\x{11f3e}-\\x{11f40}\\x{1611e}-\\x{1612e}\\x{1e08f}";
constexpr std::string_view kNewLowercase =
    "\\x{10fc}\\x{a7f2}-\\x{a7f4}\\x{ab69}\\x{1e030}-\\x{1e06d}";
constexpr std::string_view kNewEmoji =
    "\\x{1f6dc}\\x{1fa75}-\\x{1fa77}\\x{1fa87}-\\x{1fa89}\\x{1fa8f}\\x{1faad}-\\x{1faaf}\\x{1fabb}-"
    "\\x{1fabf}\\x{1fac6}\\x{1face}\\x{1facf}\\x{1fada}-\\x{1fadc}\\x{1fadf}\\x{1fae8}\\x{1fae9}"
    "\\x{1faf7}\\x{1faf8}";

// Younger members of scripts that PCRE2 knows.
constexpr std::pair<std::string_view, std::string_view> kNewOfScript[] = {
    {"sc:Han", "\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"},
    {"sc:Latin", "\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{1df25}-\\x{1df2a}"},
    {"sc:Cyrillic", "\\x{1c89}\\x{1c8a}\\x{1e030}-\\x{1e06d}\\x{1e08f}"},
    {"sc:Arabic", "\\x{897}\\x{10ec2}-\\x{10ec4}\\x{10efc}-\\x{10eff}"},
    {"sc:Hiragana", "\\x{1b132}"},
    {"sc:Katakana", "\\x{1b155}"},
};

// Younger code points of the property that PCRE2 calls `name`.
std::string younger_members(std::string_view name) {
  if (name.size() <= 2 && name != "L&") return new_members(name);
  if (name == "L&") return new_members("Lu") + new_members("Ll") + new_members("Lt");
  if (name == "Uppercase") return new_members("Lu");
  if (name == "Lowercase") return new_members("Ll") + std::string(kNewLowercase);
  if (name == "Alphabetic") {
    return std::string(kNewAlphabetic) + new_members("L") + new_members("Nl");
  }
  if (name == "Emoji") return std::string(kNewEmoji);
  for (const auto& [script, members] : kNewOfScript) {
    if (name == script) return std::string(members);
  }
  return "";
}

std::string property_members(std::string_view name) {
  const std::string plain = plain_name(name);
  if (plain == "word") return word_members();
  if (plain == "alnum") return property_members("alpha") + property_members("Nd");
  if (plain == "punct") return property_members("P") + property_members("S");
  if (plain == "xdigit" || plain == "asciihexdigit") return "0-9a-fA-F";
  if (plain == "ascii") return "\\x00-\\x7f";
  if (plain == "blank") return "\\p{Zs}\\t";
  const std::string known = pcre2_name(name);
  return "\\p{" + known + "}" + younger_members(known);
}

// What has a shape, and what `also` names.
std::string visible_members(std::string_view also) {
  std::string members(also);
  for (const char* category : {"L", "M", "N", "P", "S"}) members += property_members(category);
  return members;
}

}  // namespace

PropertySet property_set(std::string_view name) {
  // What is unassigned for PCRE2 may have been assigned since: ask for the assigned ones.
  constexpr std::string_view kCodes = "\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}";
  const std::string plain = plain_name(name);
  const std::string known = pcre2_name(name);
  if (known == "C") return {visible_members("\\p{Z}"), true};
  if (known == "Cn") return {visible_members(kCodes) + "\\p{Z}" + new_members("Cf"), true};
  if (plain == "graph") return {visible_members("\\p{Cf}\\p{Co}") + new_members("Cf")};
  if (plain == "print") return {visible_members("\\p{Cf}\\p{Co}\\p{Zs}") + new_members("Cf")};
  return {property_members(name)};
}

std::string_view space_members() { return kSpace; }

const std::string& word_members() {
  static const std::string members = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}" + new_members("L") +
                                     new_members("M") + new_members("Nd") + new_members("Nl");
  return members;
}

const std::string& bare_word_members() {
  static const std::string members = word_members() + "\\xb2\\xb3\\xb9\\xbc-\\xbe";
  return members;
}

}  // namespace laconic::tokenizer
