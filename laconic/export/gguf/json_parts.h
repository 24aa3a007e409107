#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace laconic {

/// A string, or `otherwise` when it is absent or of another kind.
std::string text_or(const nlohmann::json& object, const char* key, const std::string& otherwise);
bool flag_or(const nlohmann::json& object, const char* key, bool otherwise);

/// Calls `function` on a part of a tokenizer ("normalizer") or, for a Sequence, on each of its
/// `list`, in order, at any depth; not at all when the part is null.
void for_each_part(const nlohmann::json& tokenizer, const char* part, const char* list,
                   const std::function<void(const nlohmann::json&)>& function);

/// The text that a part replaces or splits at: {"String": text}; empty for a regular expression.
std::string literal_pattern(const nlohmann::json& part);
std::string regex_pattern(const nlohmann::json& part);

}  // namespace laconic
