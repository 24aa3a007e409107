#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace laconic::transform {

/// Options with the defaults of those that are absent.
/// @throws c10::ValueError "[transform NAME] ..." for what is no object, or an unknown key (with
/// the nearest known one).
nlohmann::json with_defaults(const char* transform, const nlohmann::json& options,
                             const nlohmann::json& defaults);

/// One field, of its kind. @throws c10::ValueError saying what was expected.
bool boolean_option(const char* transform, const nlohmann::json& options, const char* key);
int64_t integer_option(const char* transform, const nlohmann::json& options, const char* key,
                       int64_t minimum, int64_t maximum);
double number_option(const char* transform, const nlohmann::json& options, const char* key,
                     double minimum, double maximum);
std::string word_option(const char* transform, const nlohmann::json& options, const char* key,
                        const std::vector<std::string>& words);

}  // namespace laconic::transform
