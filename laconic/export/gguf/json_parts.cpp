#include "laconic/export/gguf/json_parts.h"

#include <nlohmann/json.hpp>

namespace laconic {
namespace {

using nlohmann::json;
constexpr int kMostNested = 32;

const json* find(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

void visit(const json& part, const char* list, const std::function<void(const json&)>& function,
           int depth) {
  if (!part.is_object() || depth > kMostNested) return;
  if (text_or(part, "type", "") != "Sequence") return function(part);
  const json* parts = find(part, list);
  if (parts == nullptr || !parts->is_array()) return;
  for (const json& inner : *parts) visit(inner, list, function, depth + 1);
}

std::string pattern_of(const json& part, const char* kind) {
  const json* pattern = find(part, "pattern");
  return pattern == nullptr ? "" : text_or(*pattern, kind, "");
}

}  // namespace

std::string text_or(const json& object, const char* key, const std::string& otherwise) {
  const json* found = find(object, key);
  return found != nullptr && found->is_string() ? found->get<std::string>() : otherwise;
}

bool flag_or(const json& object, const char* key, bool otherwise) {
  const json* found = find(object, key);
  return found != nullptr && found->is_boolean() ? found->get<bool>() : otherwise;
}

void for_each_part(const json& tokenizer, const char* part, const char* list,
                   const std::function<void(const json&)>& function) {
  const json* found = find(tokenizer, part);
  if (found != nullptr) visit(*found, list, function, 0);
}

std::string literal_pattern(const json& part) { return pattern_of(part, "String"); }

std::string regex_pattern(const json& part) { return pattern_of(part, "Regex"); }

}  // namespace laconic
