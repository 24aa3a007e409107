#include "options.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "laconic/base/text.h"

namespace laconic::golden {

const nlohmann::json& Options::at(const std::string& key) {
  read_.insert(key);
  TORCH_CHECK_VALUE(json_.contains(key), "option ", key, ": absent.");
  return json_.at(key);
}

std::string Options::word(const std::string& key, const std::vector<std::string>& known) {
  const auto& value = at(key);
  TORCH_CHECK_VALUE(
      value.is_string() &&
          std::find(known.begin(), known.end(), value.get<std::string>()) != known.end(),
      "option ", key, ": unknown value ", value.dump(), "; known are ", join(known, ", "), ".");
  return value.get<std::string>();
}

std::string Options::word(const std::string& key, const std::vector<std::string>& known,
                          const std::string& fallback) {
  read_.insert(key);
  return has(key) ? word(key, known) : fallback;
}

std::vector<std::string> Options::words(const std::string& key) {
  const auto& value = at(key);
  TORCH_CHECK_VALUE(value.is_array(), "option ", key, ": expected a list of words, got ",
                    value.dump(), ".");
  return value.get<std::vector<std::string>>();
}

bool Options::flag(const std::string& key, bool fallback) {
  read_.insert(key);
  if (!has(key)) return fallback;
  const auto& value = at(key);
  TORCH_CHECK_VALUE(value.is_boolean(), "option ", key, ": expected true or false, got ",
                    value.dump(), ".");
  return value.get<bool>();
}

double Options::number(const std::string& key, double low, double high) {
  const auto& value = at(key);
  TORCH_CHECK_VALUE(value.is_number() && value.get<double>() >= low && value.get<double>() <= high,
                    "option ", key, ": expected a number from ", low, " to ", high, ", got ",
                    value.dump(), ".");
  return value.get<double>();
}

double Options::number(const std::string& key, double low, double high, double fallback) {
  read_.insert(key);
  return has(key) ? number(key, low, high) : fallback;
}

int64_t Options::whole(const std::string& key, int64_t low, int64_t high) {
  const double value = number(key, static_cast<double>(low), static_cast<double>(high));
  TORCH_CHECK_VALUE(value == std::floor(value), "option ", key, ": expected a whole number, got ",
                    value, ".");
  return static_cast<int64_t>(value);
}

void Options::ignore(const std::vector<std::string>& keys) {
  read_.insert(keys.begin(), keys.end());
}

void Options::finish() const {
  for (const auto& [key, value] : json_.items()) {
    TORCH_CHECK_VALUE(read_.count(key) > 0, "option ", key, ": unknown (value ", value.dump(),
                      ").");
  }
}

}  // namespace laconic::golden
