#include "laconic/quant/quantizer/yaml.h"

#include <yaml-cpp/yaml.h>

#include "laconic/base/text.h"
#include "laconic/quant/quantizer/fields.h"

namespace laconic {
namespace {

std::string position(const std::string& where, const YAML::Mark& mark) {
  return where + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": ";
}

// Fields of a mapping and where each stands; those of a mapping in it have its key before them.
struct MarkedFields {
  std::map<std::string, std::string> texts;
  std::map<std::string, YAML::Mark> marks;
};

// Lists of numbers, or of such lists.
std::string list_text(const YAML::Node& node, const std::string& key, const std::string& where,
                      bool is_inner = false) {
  std::vector<std::string> items;
  for (const auto& item : node) {
    const bool is_list = item.IsSequence() && !is_inner;
    TORCH_CHECK_VALUE(item.IsScalar() || is_list, position(where, item.Mark()), key,
                      ": expected a list of numbers.");
    items.push_back(is_list ? list_text(item, key, where, true) : item.Scalar());
  }
  return "[" + join(items, ", ") + "]";
}

void collect(const YAML::Node& node, const std::string& prefix, const std::string& where,
             MarkedFields& fields) {
  TORCH_CHECK_VALUE(node.IsMap(), position(where, node.Mark()),
                    "expected a mapping of a quantizer's fields, such as {bits: 4}.");
  for (const auto& entry : node) {
    TORCH_CHECK_VALUE(entry.first.IsScalar(), position(where, entry.first.Mark()),
                      "expected a word as a key.");
    const auto key = prefix + entry.first.Scalar();
    TORCH_CHECK_VALUE(fields.marks.emplace(key, entry.first.Mark()).second,
                      position(where, entry.first.Mark()), "key \"", key, "\" is given twice.");
    if (entry.second.IsMap()) {
      collect(entry.second, key + ".", where, fields);
      continue;
    }
    TORCH_CHECK_VALUE(entry.second.IsScalar() || entry.second.IsSequence(),
                      position(where, entry.second.Mark()), key,
                      ": expected a number, a truth value, a word, a list of numbers or a mapping "
                      "of a quantizer's fields.");
    fields.texts[key] =
        entry.second.IsScalar() ? entry.second.Scalar() : list_text(entry.second, key, where);
  }
}

// The part of `key` up to and with its last dot.
std::string prefix_of(const std::string& key) { return key.substr(0, key.rfind('.') + 1); }

}  // namespace

std::string to_yaml(const QuantSpec& spec) {
  std::string text = "{", open;  // the prefix of the mapping that is open
  for (const auto& [key, value] : to_fields(spec)) {
    const std::string prefix = prefix_of(key);
    for (; !prefix.starts_with(open); open = prefix_of(open.substr(0, open.size() - 1)))
      text += "}";
    if (text.back() != '{') text += ", ";
    for (; open != prefix; text += "{") {
      const std::string next =
          prefix.substr(open.size(), prefix.find('.', open.size()) - open.size());
      text += next + ": ";
      open += next + ".";
    }
    text += key.substr(prefix.size()) + ": " + value;
  }
  for (; !open.empty(); open = prefix_of(open.substr(0, open.size() - 1))) text += "}";
  return text + "}";
}

QuantSpec quant_spec_from_node(const YAML::Node& node, const std::string& where,
                               const QuantParts& parts) {
  MarkedFields fields;
  collect(node, "", where, fields);
  try {
    return from_fields(fields.texts, parts);
  } catch (const FieldError& error) {
    TORCH_CHECK_VALUE(false, position(where, fields.marks[error.key]), error.what(), ".");
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
