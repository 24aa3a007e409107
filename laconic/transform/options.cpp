#include "laconic/transform/options.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "laconic/base/text.h"

namespace laconic::transform {

nlohmann::json with_defaults(const char* transform, const nlohmann::json& options,
                             const nlohmann::json& defaults) {
  TORCH_CHECK_VALUE(options.is_object() || options.is_null(), "[transform ", transform,
                    "] options: expected names with values, got ", options.type_name(), ".");
  std::vector<std::string> known;
  for (const auto& [key, value] : defaults.items()) known.push_back(key);
  nlohmann::json result = defaults;
  for (const auto& [key, value] : options.items()) {
    TORCH_CHECK_VALUE(!known.empty(), "[transform ", transform, "] unknown option \"", key,
                      "\": it has none.");
    TORCH_CHECK_VALUE(defaults.contains(key), "[transform ", transform, "] unknown option \"", key,
                      "\"", suggestion(key, known), ".");
    result[key] = value;
  }
  return result;
}

bool boolean_option(const char* transform, const nlohmann::json& options, const char* key) {
  TORCH_CHECK_VALUE(options.at(key).is_boolean(), "[transform ", transform, "] ", key,
                    ": expected true or false, got ", options.at(key).dump(), ".");
  return options.at(key).get<bool>();
}

int64_t integer_option(const char* transform, const nlohmann::json& options, const char* key,
                       int64_t minimum, int64_t maximum) {
  const nlohmann::json& value = options.at(key);
  const bool fits = value.is_number_integer() && value.get<int64_t>() >= minimum &&
                    value.get<int64_t>() <= maximum;
  TORCH_CHECK_VALUE(fits, "[transform ", transform, "] ", key, ": expected a whole number from ",
                    minimum, " to ", maximum, ", got ", value.dump(), ".");
  return value.get<int64_t>();
}

double number_option(const char* transform, const nlohmann::json& options, const char* key,
                     double minimum, double maximum) {
  const nlohmann::json& value = options.at(key);
  const bool fits =
      value.is_number() && value.get<double>() >= minimum && value.get<double>() <= maximum;
  TORCH_CHECK_VALUE(fits, "[transform ", transform, "] ", key, ": expected a number from ", minimum,
                    " to ", maximum, ", got ", value.dump(), ".");
  return value.get<double>();
}

std::string word_option(const char* transform, const nlohmann::json& options, const char* key,
                        const std::vector<std::string>& words) {
  const nlohmann::json& value = options.at(key);
  const std::string word = value.is_string() ? value.get<std::string>() : value.dump();
  TORCH_CHECK_VALUE(std::find(words.begin(), words.end(), word) != words.end(), "[transform ",
                    transform, "] ", key, ": unknown word \"", word, "\"", suggestion(word, words),
                    ".");
  return word;
}

}  // namespace laconic::transform
