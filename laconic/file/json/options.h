#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace laconic {

// Options of a solver or a transform: an object of names with values. `where` begins every message:
// "gptq", "transform rotate".

/// @throws c10::ValueError for what is neither an object nor null, and for a name that is not in
/// `known` (with the nearest one).
void check_option_names(const std::string& where, const nlohmann::json& options,
                        const std::vector<std::string>& known);

/// Options with the defaults of those that are absent. @throws c10::ValueError as
/// check_option_names.
nlohmann::json with_defaults(const std::string& where, const nlohmann::json& options,
                             const nlohmann::json& defaults);

/// One field that is there, of its kind. @throws c10::ValueError saying what was expected.
bool boolean_option(const std::string& where, const nlohmann::json& options, const char* key);
int64_t integer_option(const std::string& where, const nlohmann::json& options, const char* key,
                       int64_t minimum, int64_t maximum);
double number_option(const std::string& where, const nlohmann::json& options, const char* key,
                     double minimum, double maximum);

}  // namespace laconic
