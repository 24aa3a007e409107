#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/load/tokenizer/json_field.h"

namespace laconic::tokenizer {

/// A stretch [begin, end) of a text, in bytes.
struct Span {
  size_t begin = 0, end = 0;
  bool is_match = false;
  bool operator==(const Span&) const = default;
};

/// A pattern in the syntax of tokenizer.json (Oniguruma, Ruby flavour, Unicode), or a plain string
/// to look for.
class Pattern {
 public:
  /// The file's {"String": ...} or {"Regex": ...}.
  /// @throws c10::ValueError with the offset of the fault when the expression is malformed.
  static Pattern read(const JsonField& field);
  static Pattern literal(std::string text);
  static Pattern regex(std::string_view expression, const std::string& where);

  /// Covers `text` with matches and what lies between them, in order; empty matches included.
  /// @throws c10::ValueError when matching takes too much work (a pattern that backtracks without
  /// end).
  std::vector<Span> find(std::string_view text) const;

 private:
  struct Compiled;
  std::string literal_;
  std::shared_ptr<const Compiled> compiled_;  // null for a literal
};

}  // namespace laconic::tokenizer
