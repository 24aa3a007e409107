#include "laconic/file/json/options.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "laconic/base/text.h"

namespace laconic {

void check_option_names(const std::string& where, const nlohmann::json& options,
                        const std::vector<std::string>& known) {
  TORCH_CHECK_VALUE(options.is_object() || options.is_null(), "[", where,
                    "] options: expected names with values, got ", options.type_name(), ".");
  for (const auto& [key, value] : options.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    TORCH_CHECK_VALUE(!known.empty(), "[", where, "] unknown option \"", key, "\": it has none.");
    TORCH_CHECK_VALUE(false, "[", where, "] unknown option \"", key, "\"", suggestion(key, known),
                      ".");
  }
}

nlohmann::json with_defaults(const std::string& where, const nlohmann::json& options,
                             const nlohmann::json& defaults) {
  std::vector<std::string> known;
  for (const auto& [key, value] : defaults.items()) known.push_back(key);
  check_option_names(where, options, known);
  nlohmann::json result = defaults;
  for (const auto& [key, value] : options.items()) result[key] = value;
  return result;
}

bool boolean_option(const std::string& where, const nlohmann::json& options, const char* key) {
  const nlohmann::json& value = options.at(key);
  TORCH_CHECK_VALUE(value.is_boolean(), "[", where, "] ", key, ": expected true or false, got ",
                    value.dump(), ".");
  return value.get<bool>();
}

int64_t integer_option(const std::string& where, const nlohmann::json& options, const char* key,
                       int64_t minimum, int64_t maximum) {
  const nlohmann::json& value = options.at(key);
  const bool fits = value.is_number_integer() && value.get<int64_t>() >= minimum &&
                    value.get<int64_t>() <= maximum;
  TORCH_CHECK_VALUE(fits, "[", where, "] ", key, ": expected a whole number from ", minimum, " to ",
                    maximum, ", got ", value.dump(), ".");
  return value.get<int64_t>();
}

double number_option(const std::string& where, const nlohmann::json& options, const char* key,
                     double minimum, double maximum) {
  const nlohmann::json& value = options.at(key);
  const bool fits =
      value.is_number() && value.get<double>() >= minimum && value.get<double>() <= maximum;
  TORCH_CHECK_VALUE(fits, "[", where, "] ", key, ": expected a number from ", minimum, " to ",
                    maximum, ", got ", value.dump(), ".");
  return value.get<double>();
}

}  // namespace laconic
