#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace laconic::tokenizer {

/// A value inside a JSON file that knows where it stands, so that every complaint names file and
/// path. Looks into the document: must not outlive it.
class JsonField {
 public:
  /// @param where  the file, for messages.
  JsonField(const nlohmann::json& value, const std::string& where)
      : value_(&value), where_(&where) {}

  /// The member `key` of an object. @throws c10::ValueError when absent or not an object.
  JsonField at(const std::string& key) const;
  /// The same, or nothing when absent or null.
  std::optional<JsonField> find(const std::string& key) const;

  const std::string& string() const;
  bool boolean() const;
  /// An integer in [low, high].
  int64_t integer(int64_t low, int64_t high) const;
  double number() const;
  /// A string of one code point.
  char32_t character() const;
  /// The elements of an array.
  std::vector<JsonField> items() const;
  JsonField item(size_t index) const;

  std::string string_or(const std::string& key, std::string_view otherwise) const;
  bool boolean_or(const std::string& key, bool otherwise) const;

  /// Refuses a member of this object that is not among `names` (with spaces between).
  /// @throws c10::ValueError.
  void expect_only(std::string_view names) const;

  bool is_null() const;
  bool is_string() const;
  bool is_array() const;
  const nlohmann::json& json() const { return *value_; }
  const std::string& where() const { return *where_; }
  const std::string& path() const { return path_; }

  /// Refuses an object of other than one member: its name says what kind of thing it is.
  /// @throws c10::ValueError.
  void expect_single(const std::string& expected) const;

  /// @throws c10::ValueError "[tokenizer] FILE: PATH: expected ..., got .... hint".
  [[noreturn]] void fail(const std::string& expected, const std::string& hint = "") const;
  /// The same for a kind that is not in the table; lists the known ones.
  [[noreturn]] void fail_unknown(std::string_view what,
                                 const std::vector<std::string>& known) const;

 private:
  JsonField inside(const nlohmann::json& value, const std::string& step) const;

  const nlohmann::json* value_;
  const std::string* where_;
  std::string path_ = "$";
};

/// One row of a table of kinds: the name of "type", and what makes the part. Fields that nobody
/// reads are passed over, as the `tokenizers` package does it.
template <typename Part>
struct Kind {
  const char* name;
  Part (*make)(const JsonField&);
};

/// Makes the part whose row has the name that stands in `field`'s "type".
/// @throws c10::ValueError for an unknown kind; lists the known ones.
template <typename Part, size_t kCount>
Part make_part(const JsonField& field, std::string_view what, const Kind<Part> (&kinds)[kCount]) {
  const JsonField type = field.at("type");
  std::vector<std::string> known;
  for (const auto& kind : kinds) {
    if (type.string() == kind.name) return kind.make(field);
    known.emplace_back(kind.name);
  }
  type.fail_unknown(what, known);
}

}  // namespace laconic::tokenizer
