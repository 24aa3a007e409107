#include "laconic/load/tokenizer/regex/oniguruma.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "laconic/load/tokenizer/regex/properties.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

/// Reads one expression from left to right, writing its translation.
class Translator {
 public:
  Translator(std::string_view source, const std::string& where) : source_(source), where_(where) {}

  std::string translate() {
    while (at_ < source_.size()) step();
    return std::move(out_);
  }

 private:
  bool starts_with(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  void atom(std::string_view text) {
    atom_ = out_.size();
    out_ += text;
  }

  void step() {
    const char c = source_[at_];
    if (c == '\\') {
      atom(escape());
    } else if (c == '[') {
      atom(character_class());
    } else if (c == '(') {
      group();
    } else if (c == ')') {
      out_ += source_[at_++];
      if (!groups_.empty()) {
        atom_ = groups_.back();
        groups_.pop_back();
      }
    } else if (c == '{') {
      interval();
    } else if (c == '*' || c == '+' || c == '?') {
      quantifier();
    } else {
      const size_t length = sequence_length(c);
      atom(source_.substr(at_, length));
      at_ += length;
    }
  }

  // After *, + or ? both libraries read a further + as possessive and a further ? as lazy.
  void quantifier() {
    out_ += source_[at_++];
    if (at_ < source_.size() && (source_[at_] == '+' || source_[at_] == '?'))
      out_ += source_[at_++];
  }

  void interval() {
    const size_t close = source_.find('}', at_);
    const std::string_view inside =
        close == std::string_view::npos ? "" : source_.substr(at_ + 1, close - at_ - 1);
    const bool counts = !inside.empty() && inside != "," &&
                        inside.find_first_not_of("0123456789,") == std::string_view::npos &&
                        std::count(inside.begin(), inside.end(), ',') <= 1;
    if (!counts) {
      atom("\\{");
      ++at_;
      return;
    }
    out_ += "{" + std::string(inside.starts_with(',') ? "0" : "") + std::string(inside) + "}";
    at_ = close + 1;
    const bool fixed = inside.find(',') == std::string_view::npos;
    const bool repeated = starts_with("+") || (fixed && starts_with("?"));
    if (repeated) {  // the quantifier applies to the whole interval
      out_.insert(atom_, "(?:");
      out_ += ")";
    } else if (starts_with("?")) {
      out_ += source_[at_++];
    }
  }

  void group() {
    groups_.push_back(out_.size());
    out_ += source_[at_++];
    if (!starts_with("?")) return;
    out_ += source_[at_++];
    // Options up to ':' or ')': Ruby's m is PCRE2's s. A name or a look-around has none.
    while (at_ < source_.size() &&
           std::string_view("imx-").find(source_[at_]) != std::string_view::npos) {
      out_ += source_[at_] == 'm' ? 's' : source_[at_];
      ++at_;
    }
    if (starts_with("#")) {  // a comment ends at the first bracket
      while (at_ < source_.size() && source_[at_] != ')') out_ += source_[at_++];
    } else if (starts_with("<") && !starts_with("<=") && !starts_with("<!")) {
      while (at_ < source_.size() && source_[at_] != '>') out_ += source_[at_++];
    } else if (at_ < source_.size() && source_[at_] != ')') {
      out_ += source_[at_++];  // ':', '=', '!', '>', '<' or what PCRE2 shall refuse
      if (out_.back() == '<') out_ += source_[at_++];
    }
  }

  // An escape outside of a class.
  std::string escape() {
    const std::string inside = class_escape();
    if (inside == "\\b" || inside == "\\B") return word_edge(inside == "\\b");
    if (inside == "\\w" || inside == "\\W") {
      return (inside == "\\W" ? "[^" : "[") + bare_word_members() + "]";
    }
    const auto [members, negated] = members_of(inside);
    if (members.empty()) return inside;
    return (negated ? "[^" : "[") + members + "]";
  }

  // \b and \B by Oniguruma's idea of a word.
  static std::string word_edge(bool edge) {
    const std::string word = "[" + bare_word_members() + "]";
    return edge ? "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))"
                : "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))";
  }

  // What an escape for a set of characters stands for; no members for other escapes.
  static std::pair<std::string, bool> members_of(const std::string& escape) {
    if (escape.size() < 2) return {"", false};
    const bool negated = std::isupper(static_cast<unsigned char>(escape[1])) != 0;
    switch (std::tolower(static_cast<unsigned char>(escape[1]))) {
      case 's':
        return {std::string(space_members()), negated};
      case 'w':
        return {word_members(), negated};
      case 'h':
        return {"0-9a-fA-F", negated};
      case 'd':
        return {property_set("Nd").members, negated};
      case 'p':
        break;
      default:
        return {"", false};
    }
    if (escape.size() < 5 || escape[2] != '{') return {"", false};
    std::string_view name = std::string_view(escape).substr(3, escape.size() - 4);
    const bool inverted = name.starts_with('^');
    if (inverted) name.remove_prefix(1);
    PropertySet set = property_set(name);
    return {std::move(set.members), set.is_complement != (negated != inverted)};
  }

  // The characters of an escape as they stand.
  std::string class_escape() {
    const size_t start = at_++;
    if (at_ < source_.size()) at_ += sequence_length(source_[at_]);
    const bool braced = start + 1 < source_.size() &&
                        std::string_view("pPx").find(source_[start + 1]) != std::string_view::npos;
    if (braced && starts_with("{")) at_ = std::min(source_.find('}', at_), source_.size() - 1) + 1;
    if (starts_with_unicode_escape(start)) return unicode_escape(start);
    return std::string(source_.substr(start, at_ - start));
  }

  bool starts_with_unicode_escape(size_t start) const {
    return start + 5 < source_.size() && source_[start + 1] == 'u' &&
           std::all_of(source_.begin() + static_cast<long>(start) + 2,
                       source_.begin() + static_cast<long>(start) + 6,
                       [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
  }
  std::string unicode_escape(size_t start) {
    at_ = start + 6;
    return "\\x{" + std::string(source_.substr(start + 2, 4)) + "}";
  }

  std::string character_class();
  std::string class_operand(std::vector<std::string>& nested);
  std::string class_member(std::vector<std::string>& nested);

  std::string_view source_;
  const std::string& where_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;             // where the last atom starts in out_
  std::vector<size_t> groups_;  // where the open groups start in out_
};

// One escape, POSIX name or character inside a class. Negated sets go to `nested`: a class holds
// members only.
std::string Translator::class_member(std::vector<std::string>& nested) {
  std::pair<std::string, bool> set;
  if (const size_t close = source_.find(":]", at_);
      starts_with("[:") && close != std::string_view::npos) {
    set = members_of("\\p{" + std::string(source_.substr(at_ + 2, close - at_ - 2)) + "}");
    at_ = close + 2;
  } else if (source_[at_] == '\\') {
    const std::string escape = class_escape();
    set = members_of(escape);
    if (set.first.empty()) return escape;
  } else {
    const size_t start = at_;
    at_ += sequence_length(source_[at_]);
    const std::string_view member = source_.substr(start, at_ - start);
    return member == "[" ? "\\[" : std::string(member);
  }
  if (!set.second) return set.first;
  nested.push_back("[^" + set.first + "]");
  return "";
}

// What stands between two && of a class: plain members; classes inside go to `nested`.
std::string Translator::class_operand(std::vector<std::string>& nested) {
  std::string members;
  while (at_ < source_.size() && source_[at_] != ']' && !starts_with("&&")) {
    if (source_[at_] == '[' && !starts_with("[:")) {
      nested.push_back(character_class());
    } else {
      members += class_member(nested);
    }
  }
  return members;
}

std::string Translator::character_class() {
  const size_t start = at_++;
  const bool negated = starts_with("^");
  if (negated) ++at_;
  std::vector<std::string> operands;
  bool plain = true;
  std::string members;
  if (starts_with("]")) {  // a bracket right after the opening one stands for itself
    members = "\\]";
    ++at_;
  }
  do {
    if (!operands.empty()) at_ += 2;
    std::vector<std::string> nested;
    members += class_operand(nested);
    plain = plain && nested.empty();
    if (!members.empty()) nested.push_back("[" + members + "]");
    std::string operand;
    for (const std::string& part : nested) operand += (operand.empty() ? "" : "|") + part;
    operands.push_back(nested.size() == 1 ? operand : "(?:" + operand + ")");
    if (!starts_with("&&") && operands.size() == 1 && plain) break;
    members.clear();
  } while (starts_with("&&"));
  TORCH_CHECK_VALUE(at_ < source_.size(), "[tokenizer] ", where_,
                    ": pattern: expected ']' for the class at offset ", start,
                    ", got the end. Mend the expression.");
  ++at_;
  if (operands.size() == 1 && plain) return (negated ? "[^" : "[") + members + "]";
  std::string all;
  for (size_t i = 0; i + 1 < operands.size(); ++i) all += "(?=" + operands[i] + ")";
  all += operands.back();
  return negated ? "(?:(?!" + all + ")[\\s\\S])" : "(?:" + all + ")";
}

}  // namespace

std::string to_pcre2(std::string_view expression, const std::string& where) {
  return Translator(expression, where).translate();
}

}  // namespace laconic::tokenizer
