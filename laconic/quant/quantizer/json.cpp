#include "laconic/quant/quantizer/json.h"

#include <nlohmann/json.hpp>

#include "laconic/quant/quantizer/fields.h"

namespace laconic {
namespace {

// Scalars that read as JSON numbers or truth values are written as such.
nlohmann::json scalar(const std::string& text) {
  const auto parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  return parsed.is_number() || parsed.is_boolean() ? parsed : nlohmann::json(text);
}

}  // namespace

nlohmann::json to_json(const QuantSpec& spec) {
  auto json = nlohmann::json::object();
  for (const auto& [key, value] : to_fields(spec)) json[key] = scalar(value);
  return json;
}

QuantSpec quant_spec_from_json(const nlohmann::json& json, const std::string& where,
                               const QuantParts& parts) {
  TORCH_CHECK_VALUE(json.is_object(), "[quantizer] ", where,
                    ": expected an object of a quantizer's fields, got ", json.type_name(), ".");
  std::map<std::string, std::string> fields;
  for (const auto& [key, value] : json.items()) {
    TORCH_CHECK_VALUE(value.is_primitive() && !value.is_null(), "[quantizer] ", where, ": ", key,
                      ": expected a number, a truth value or a word, got ", value.type_name(), ".");
    fields[key] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  try {
    return from_fields(fields, parts);
  } catch (const FieldError& error) {
    TORCH_CHECK_VALUE(false, "[quantizer] ", where, ": ", error.what(), ".");
  } catch (const c10::ValueError& error) {
    TORCH_CHECK_VALUE(false, "[quantizer] ", where, ": ", error.what_without_backtrace());
  }
}

}  // namespace laconic
