#include "laconic/model/config.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "laconic/file/json/json.h"

namespace laconic::model {
namespace {

std::string shown(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return text.size() > 100 ? text.substr(0, 100) + "..." : text;
}

}  // namespace

Config Config::read(const std::filesystem::path& file) {
  std::error_code error;
  TORCH_CHECK_VALUE(
      std::filesystem::is_regular_file(file, error), "[", file.string(),
      "] no such file: expected the ",
      "configuration of a Hugging Face model. Give the directory that holds config.json.");
  TORCH_CHECK_VALUE(std::filesystem::file_size(file, error) < (1u << 24) && !error, "[",
                    file.string(), "] expected a configuration of less than 16 MiB.");
  std::ifstream stream(file, std::ios::binary);
  TORCH_CHECK_VALUE(stream.good(), "[", file.string(), "] cannot be read. Check its permissions.");
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  return Config(parse_json(text, "[" + file.string() + "]"), file.string());
}

Config::Config(nlohmann::json json, std::string where)
    : where_(std::move(where)), json_(std::move(json)) {
  TORCH_CHECK_VALUE(json_.is_object(), "[", where_, "] expected a JSON object, got ", shown(json_),
                    ".");
}

const nlohmann::json& Config::field(const std::string& key) const {
  TORCH_CHECK_VALUE(has(key), "[", where_, "] field \"", prefix_, key,
                    "\" is missing: expected a value. ",
                    "Add it, or take config.json from the model's source.");
  return json_.at(key);
}

void Config::fail(const std::string& key, const std::string& expected,
                  const std::string& mend) const {
  const std::string got = json_.contains(key) ? shown(json_.at(key)) : "nothing";
  TORCH_CHECK_VALUE(false, "[", where_, "] field \"", prefix_, key, "\": expected ", expected,
                    ", got ", got, ".", mend.empty() ? "" : " ", mend);
}

void Config::unsupported(const std::string& key, const std::string& what) const {
  TORCH_CHECK_NOT_IMPLEMENTED(false, "[", where_, "] field \"", prefix_, key, "\" is ",
                              json_.contains(key) ? shown(json_.at(key)) : "absent", ": ", what,
                              " is not supported.");
}

void Config::require_neutral(const std::string& key, const nlohmann::json& neutral) const {
  if (has(key) && json_.at(key) != neutral)
    unsupported(key, "a value other than " + neutral.dump());
}

int64_t Config::integer(const std::string& key, int64_t minimum, int64_t maximum) const {
  const nlohmann::json& value = field(key);
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) &&
                    value.get<int64_t>() >= minimum && value.get<int64_t>() <= maximum;
  if (!fits)
    fail(key, "a whole number from " + std::to_string(minimum) + " to " + std::to_string(maximum));
  return value.get<int64_t>();
}

double Config::number(const std::string& key) const {
  const nlohmann::json& value = field(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) fail(key, "a number");
  return value.get<double>();
}

double Config::positive(const std::string& key) const {
  const double value = number(key);
  if (value <= 0) fail(key, "a number above 0");
  return value;
}

std::string Config::text(const std::string& key) const {
  const nlohmann::json& value = field(key);
  if (!value.is_string()) fail(key, "a text");
  return value.get<std::string>();
}

int64_t Config::integer_or(const std::string& key, int64_t fallback, int64_t minimum) const {
  return has(key) ? integer(key, minimum) : fallback;
}

double Config::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

std::optional<double> Config::maybe_number(const std::string& key) const {
  return has(key) ? std::optional(number(key)) : std::nullopt;
}

bool Config::boolean_or(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!json_.at(key).is_boolean()) fail(key, "true or false");
  return json_.at(key).get<bool>();
}

std::string Config::text_or(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

std::vector<double> Config::numbers(const std::string& key) const {
  const nlohmann::json& value = field(key);
  if (!value.is_array()) fail(key, "a list of numbers");
  std::vector<double> result;
  for (const auto& item : value) {
    if (!item.is_number()) fail(key, "a list of numbers");
    result.push_back(item.get<double>());
  }
  return result;
}

std::vector<std::string> Config::texts(const std::string& key) const {
  const nlohmann::json& value = field(key);
  if (!value.is_array()) fail(key, "a list of texts");
  std::vector<std::string> result;
  for (const auto& item : value) {
    if (!item.is_string()) fail(key, "a list of texts");
    result.push_back(item.get<std::string>());
  }
  return result;
}

Config Config::object(const std::string& key) const {
  if (!field(key).is_object()) fail(key, "an object");
  Config result(field(key), where_);
  result.prefix_ = prefix_ + key + ".";
  return result;
}

}  // namespace laconic::model
