#include "laconic/quant/quantizer/json.h"

#include <nlohmann/json.hpp>

#include "laconic/quant/quantizer/fields.h"

namespace laconic {
namespace {

// Texts that read as JSON numbers, truth values or lists are written as such.
nlohmann::json value_of(const std::string& text) {
  const auto parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool is_own = parsed.is_number() || parsed.is_boolean() || parsed.is_array();
  return is_own ? parsed : nlohmann::json(text);
}

// The fields of an object in the object have its key and a dot before them.
void collect(const nlohmann::json& json, const std::string& prefix, const std::string& where,
             std::map<std::string, std::string>& fields) {
  TORCH_CHECK_VALUE(json.is_object(), "[quantizer] ", where,
                    ": expected an object of a quantizer's fields, got ", json.type_name(), ".");
  for (const auto& [name, value] : json.items()) {
    const std::string key = prefix + name;
    if (value.is_object()) {
      collect(value, key + ".", where, fields);
      continue;
    }
    const bool is_value = (value.is_primitive() && !value.is_null()) || value.is_array();
    TORCH_CHECK_VALUE(is_value, "[quantizer] ", where, ": ", key,
                      ": expected a number, a truth value, a word, a list or an object, got ",
                      value.type_name(), ".");
    fields[key] = value.is_string() ? value.get<std::string>() : value.dump();
  }
}

}  // namespace

nlohmann::json to_json(const QuantSpec& spec) {
  auto json = nlohmann::json::object();
  for (const auto& [key, value] : to_fields(spec)) {
    auto* object = &json;
    size_t begin = 0;
    for (size_t dot; (dot = key.find('.', begin)) != std::string::npos; begin = dot + 1)
      object = &(*object)[key.substr(begin, dot - begin)];
    (*object)[key.substr(begin)] = value_of(value);
  }
  return json;
}

QuantSpec quant_spec_from_json(const nlohmann::json& json, const std::string& where,
                               const QuantParts& parts) {
  std::map<std::string, std::string> fields;
  collect(json, "", where, fields);
  try {
    return from_fields(fields, parts);
  } catch (const FieldError& error) {
    TORCH_CHECK_VALUE(false, "[quantizer] ", where, ": ", error.what(), ".");
  } catch (const c10::ValueError& error) {
    TORCH_CHECK_VALUE(false, "[quantizer] ", where, ": ", error.what_without_backtrace());
  }
}

}  // namespace laconic
