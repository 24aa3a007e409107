#include "laconic/quant/quantizer/yaml.h"

#include <yaml-cpp/yaml.h>

#include "laconic/quant/quantizer/fields.h"

namespace laconic {
namespace {

std::string position(const std::string& where, const YAML::Mark& mark) {
  return where + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": ";
}

}  // namespace

std::string to_yaml(const QuantSpec& spec) {
  std::string text = "{";
  for (const auto& [key, value] : to_fields(spec))
    text += (text.size() > 1 ? ", " : "") + key + ": " + value;
  return text + "}";
}

QuantSpec quant_spec_from_node(const YAML::Node& node, const std::string& where,
                               const QuantParts& parts) {
  TORCH_CHECK_VALUE(node.IsMap(), position(where, node.Mark()),
                    "expected a mapping of a quantizer's fields, such as {bits: 4}.");
  std::map<std::string, std::string> fields;
  std::map<std::string, YAML::Mark> marks;
  for (const auto& entry : node) {
    TORCH_CHECK_VALUE(entry.first.IsScalar(), position(where, entry.first.Mark()),
                      "expected a word as a key.");
    const auto& key = entry.first.Scalar();
    TORCH_CHECK_VALUE(fields.count(key) == 0, position(where, entry.first.Mark()), "key \"", key,
                      "\" is given twice.");
    TORCH_CHECK_VALUE(entry.second.IsScalar(), position(where, entry.second.Mark()), key,
                      ": expected a number, a truth value or a word.");
    fields[key] = entry.second.Scalar();
    marks[key] = entry.first.Mark();
  }
  try {
    return from_fields(fields, parts);
  } catch (const FieldError& error) {
    TORCH_CHECK_VALUE(false, position(where, marks[error.key]), error.what(), ".");
  } catch (const c10::ValueError& error) {
    TORCH_CHECK_VALUE(false, position(where, node.Mark()), error.what_without_backtrace());
  }
}

QuantSpec quant_spec_from_yaml(const std::string& text, const std::string& where,
                               const QuantParts& parts) {
  try {
    return quant_spec_from_node(YAML::Load(text), where, parts);
  } catch (const YAML::Exception& error) {
    TORCH_CHECK_VALUE(false, position(where, error.mark), error.msg, ".");
  }
}

}  // namespace laconic
