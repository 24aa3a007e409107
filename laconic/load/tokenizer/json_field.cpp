#include "laconic/load/tokenizer/json_field.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "laconic/base/text.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

// "a string \"abc\"" or "an array": what stands there, short.
std::string describe(const nlohmann::json& value) {
  if (value.is_object() || value.is_array()) {
    return std::string("an ") + value.type_name() + " of " + std::to_string(value.size());
  }
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

JsonField JsonField::inside(const nlohmann::json& value, const std::string& step) const {
  JsonField field(value, *where_);
  field.path_ = path_ + step;
  return field;
}

JsonField JsonField::at(const std::string& key) const {
  if (!value_->is_object()) fail("an object with \"" + key + "\"");
  const auto found = value_->find(key);
  if (found == value_->end()) {
    TORCH_CHECK_VALUE(false, "[tokenizer] ", *where_, ": ", path_, ".", key,
                      ": expected a value, got none. Is the file whole?");
  }
  return inside(*found, "." + key);
}

std::optional<JsonField> JsonField::find(const std::string& key) const {
  if (!value_->is_object()) fail("an object");
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return inside(*found, "." + key);
}

const std::string& JsonField::string() const {
  if (!value_->is_string()) fail("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonField::boolean() const {
  if (!value_->is_boolean()) fail("true or false");
  return value_->get<bool>();
}

int64_t JsonField::integer(int64_t low, int64_t high) const {
  const std::string expected =
      "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  if (!value_->is_number_integer()) fail(expected);
  if (value_->is_number_unsigned() && value_->get<uint64_t>() > INT64_MAX) fail(expected);
  const auto number = value_->get<int64_t>();
  if (number < low || number > high) fail(expected);
  return number;
}

double JsonField::number() const {
  if (!value_->is_number()) fail("a number");
  return value_->get<double>();
}

char32_t JsonField::character() const {
  if (count_code_points(string()) != 1) fail("a string of one character");
  return code_point_at(string(), 0).value;
}

std::vector<JsonField> JsonField::items() const {
  if (!value_->is_array()) fail("an array");
  std::vector<JsonField> fields;
  fields.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) fields.push_back(item(i));
  return fields;
}

JsonField JsonField::item(size_t index) const {
  if (!value_->is_array() || index >= value_->size()) {
    fail("an array of at least " + std::to_string(index + 1));
  }
  return inside((*value_)[index], "[" + std::to_string(index) + "]");
}

std::string JsonField::string_or(const std::string& key, std::string_view otherwise) const {
  const auto field = find(key);
  return field ? field->string() : std::string(otherwise);
}

bool JsonField::boolean_or(const std::string& key, bool otherwise) const {
  const auto field = find(key);
  return field ? field->boolean() : otherwise;
}

void JsonField::expect_only(std::string_view names) const {
  if (!value_->is_object()) fail("an object");
  std::vector<std::string> known;
  for (size_t at = 0; at < names.size();) {
    const size_t end = std::min(names.find(' ', at), names.size());
    known.emplace_back(names.substr(at, end - at));
    at = end + 1;
  }
  for (const auto& [key, value] : value_->items()) {
    TORCH_CHECK_VALUE(std::find(known.begin(), known.end(), key) != known.end(), "[tokenizer] ",
                      *where_, ": ", path_, ": unknown field \"", key.substr(0, 60), "\"",
                      suggestion(key, known), ".");
  }
}

void JsonField::expect_single(const std::string& expected) const {
  if (!value_->is_object() || value_->size() != 1) fail("an object with " + expected + " alone");
}

bool JsonField::is_null() const { return value_->is_null(); }
bool JsonField::is_string() const { return value_->is_string(); }
bool JsonField::is_array() const { return value_->is_array(); }

void JsonField::fail(const std::string& expected, const std::string& hint) const {
  TORCH_CHECK_VALUE(false, "[tokenizer] ", *where_, ": ", path_, ": expected ", expected, ", got ",
                    describe(*value_), ".", hint.empty() ? "" : " ", hint);
}

void JsonField::fail_unknown(std::string_view what, const std::vector<std::string>& known) const {
  TORCH_CHECK_VALUE(false, "[tokenizer] ", *where_, ": ", path_, ": unknown ", what, " ",
                    describe(*value_),
                    suggestion(value_->is_string() ? string() : std::string(), known), ".");
}

}  // namespace laconic::tokenizer
