#pragma once

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <sstream>

#include "laconic/base/text.h"
#include "laconic/quant/quantizer/fields.h"

namespace laconic {

// Values of fields as text, and back. For fields.cpp alone.

template <typename Enum>
struct EnumNames;
template <>
struct EnumNames<Threshold> {
  static constexpr std::pair<Threshold, const char*> kRows[] = {
      {Threshold::kLargestCode, "largest_code"},
      {Threshold::kFullRange, "full_range"},
      {Threshold::kPowerOfTwo, "power_of_two"},
      {Threshold::kCodeCount, "code_count"},
      {Threshold::kLargestPower, "largest_power"}};
};
template <>
struct EnumNames<FloatSpecials> {
  static constexpr std::pair<FloatSpecials, const char*> kRows[] = {
      {FloatSpecials::kNone, "none"},
      {FloatSpecials::kNan, "nan"},
      {FloatSpecials::kIeee, "ieee"},
      {FloatSpecials::kNegativeZero, "negative_zero"}};
};
template <>
struct EnumNames<Plane> {
  static constexpr std::pair<Plane, const char*> kRows[] = {{Plane::kBinary, "binary"},
                                                            {Plane::kTernary, "ternary"}};
};
template <>
struct EnumNames<Affine> {
  static constexpr std::pair<Affine, const char*> kRows[] = {
      {Affine::kNone, "none"},
      {Affine::kFactor, "factor"},
      {Affine::kFactorAndOffset, "factor_and_offset"}};
};
template <>
struct EnumNames<SearchMethod> {
  static constexpr std::pair<SearchMethod, const char*> kRows[] = {
      {SearchMethod::kGrid, "grid"}, {SearchMethod::kGoldenSection, "golden_section"}};
};
template <>
struct EnumNames<ZeroPointSource> {
  static constexpr std::pair<ZeroPointSource, const char*> kRows[] = {
      {ZeroPointSource::kAsScale, "as_scale"},
      {ZeroPointSource::kStatistic, "statistic"},
      {ZeroPointSource::kLearned, "learned"}};
};
template <>
struct EnumNames<NonFinite> {
  static constexpr std::pair<NonFinite, const char*> kRows[] = {
      {NonFinite::kRefuse, "refuse"}, {NonFinite::kPropagate, "propagate"}};
};
template <>
struct EnumNames<PowerRounding> {
  static constexpr std::pair<PowerRounding, const char*> kRows[] = {
      {PowerRounding::kNearest, "nearest"},
      {PowerRounding::kCeil, "ceil"},
      {PowerRounding::kFloor, "floor"}};
};
template <>
struct EnumNames<c10::ScalarType> {
  static constexpr std::pair<c10::ScalarType, const char*> kRows[] = {
      {c10::ScalarType::Half, "float16"}, {c10::ScalarType::BFloat16, "bfloat16"}};
};

inline std::string print(int64_t value) { return std::to_string(value); }
inline std::string print(bool value) { return value ? "true" : "false"; }
inline std::string print(double value) {
  // The shortest text that reads back as the same number.
  char text[32];
  for (int digits = 6; digits <= 17; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    if (std::stod(text) == value) break;
  }
  return text;
}
constexpr const char* kStandard = "standard";
inline std::string print(const std::optional<int64_t>& value) {
  return value ? std::to_string(*value) : kStandard;
}
// A list of YAML and of JSON.
inline std::string print(const std::vector<double>& values) {
  std::vector<std::string> texts;
  for (const double value : values) texts.push_back(print(value));
  return "[" + join(texts, ", ") + "]";
}
inline std::string print(const std::vector<std::vector<double>>& lists) {
  std::vector<std::string> texts;
  for (const auto& list : lists) texts.push_back(print(list));
  return "[" + join(texts, ", ") + "]";
}
template <typename Enum>
requires std::is_enum_v<Enum> std::string print(Enum value) {
  for (const auto& [kind, name] : EnumNames<Enum>::kRows) {
    if (kind == value) return name;
  }
  TORCH_CHECK_VALUE(false, "[quantizer] a value without a name: ", static_cast<int>(value), ".");
}

inline void parse(const std::string& key, const std::string& text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw FieldError(key, key + ": expected a whole number, got \"" + text + "\"");
  }
}
inline void parse(const std::string& key, const std::string& text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value - value == 0)) {
    throw FieldError(key, key + ": expected a finite number, got \"" + text + "\"");
  }
}
inline void parse(const std::string& key, const std::string& text, std::optional<int64_t>& value) {
  value.reset();
  if (text != kStandard) parse(key, text, value.emplace());
}
inline void parse(const std::string& key, const std::string& text, std::vector<double>& values) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']')
    throw FieldError(key, key + ": expected a list of numbers, got \"" + text + "\"");
  std::istringstream items(text.substr(1, text.size() - 2));
  values.clear();
  for (std::string item; std::getline(items, item, ',');) {
    item.erase(0, item.find_first_not_of(' '));
    parse(key, item, values.emplace_back());
  }
}
// Lists of numbers; the word of a format stands for its numbers.
inline void parse(const std::string& key, const std::string& text,
                  std::vector<std::vector<double>>& lists) {
  const auto fail = [&](const std::string& what) {
    throw FieldError(key, key + ": expected a list of lists of numbers, or of words of formats, " +
                              "got \"" + what + "\"");
  };
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') fail(text);
  lists.clear();
  size_t at = 1;
  const size_t end = text.size() - 1;
  while (at < end) {
    const bool is_list = text[at] == '[';
    if (is_list && text.find(']', at) >= end) fail(text);
    const size_t stop = is_list ? text.find(']', at) + 1 : std::min(text.find(',', at), end);
    const std::string item = text.substr(at, stop - at);
    if (is_list) {
      parse(key, item, lists.emplace_back());
    } else {
      const auto& formats = named_formats();
      const auto found = std::find_if(formats.begin(), formats.end(), [&](const auto& named) {
        return "\"" + named.first + "\"" == item || named.first == item;
      });
      if (found == formats.end()) fail(item);
      lists.push_back(values(found->second));
    }
    at = text.find_first_not_of(", ", stop);
  }
}
inline void parse(const std::string& key, const std::string& text, bool& value) {
  if (text != "true" && text != "false")
    throw FieldError(key, key + ": expected true or false, got \"" + text + "\"");
  value = text == "true";
}
template <typename Enum>
requires std::is_enum_v<Enum>
void parse(const std::string& key, const std::string& text, Enum& value) {
  std::vector<std::string> names;
  for (const auto& [kind, name] : EnumNames<Enum>::kRows) {
    if (text == name) {
      value = kind;
      return;
    }
    names.push_back(name);
  }
  throw FieldError(key, key + ": unknown value \"" + text + "\"" + suggestion(text, names));
}

}  // namespace laconic
