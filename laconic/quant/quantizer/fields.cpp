#include "laconic/quant/quantizer/fields.h"

#include <charconv>
#include <cstdio>
#include <optional>
#include <sstream>

#include "laconic/base/text.h"
#include "laconic/base/variant.h"

namespace laconic {
namespace {

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

std::string print(int64_t value) { return std::to_string(value); }
std::string print(bool value) { return value ? "true" : "false"; }
std::string print(double value) {
  // The shortest text that reads back as the same number.
  char text[32];
  for (int digits = 6; digits <= 17; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    if (std::stod(text) == value) break;
  }
  return text;
}
constexpr const char* kStandard = "standard";
std::string print(const std::optional<int64_t>& value) {
  return value ? std::to_string(*value) : kStandard;
}
// A list of YAML and of JSON.
std::string print(const std::vector<double>& values) {
  std::vector<std::string> texts;
  for (const double value : values) texts.push_back(print(value));
  return "[" + join(texts, ", ") + "]";
}
template <typename Enum>
requires std::is_enum_v<Enum> std::string print(Enum value) {
  for (const auto& [kind, name] : EnumNames<Enum>::kRows) {
    if (kind == value) return name;
  }
  TORCH_CHECK_VALUE(false, "[quantizer] a value without a name: ", static_cast<int>(value), ".");
}

void parse(const std::string& key, const std::string& text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw FieldError(key, key + ": expected a whole number, got \"" + text + "\"");
  }
}
void parse(const std::string& key, const std::string& text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value - value == 0)) {
    throw FieldError(key, key + ": expected a finite number, got \"" + text + "\"");
  }
}
void parse(const std::string& key, const std::string& text, std::optional<int64_t>& value) {
  value.reset();
  if (text != kStandard) parse(key, text, value.emplace());
}
void parse(const std::string& key, const std::string& text, std::vector<double>& values) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']')
    throw FieldError(key, key + ": expected a list of numbers, got \"" + text + "\"");
  std::istringstream items(text.substr(1, text.size() - 2));
  values.clear();
  for (std::string item; std::getline(items, item, ',');) {
    item.erase(0, item.find_first_not_of(' '));
    parse(key, item, values.emplace_back());
  }
}
void parse(const std::string& key, const std::string& text, bool& value) {
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

// The fields of every part: one list serves printing and reading.
void visit_fields(auto& part, auto&& field) {
  using Part = std::remove_cvref_t<decltype(part)>;
  if constexpr (std::is_same_v<Part, IntFormat>) {
    field("bits", part.bit_width), field("signed", part.is_signed),
        field("narrow_range", part.narrow_range);
  } else if constexpr (std::is_same_v<Part, TernaryFormat>) {
    field("ternary_threshold", part.threshold);
  } else if constexpr (std::is_same_v<Part, MinifloatFormat>) {
    field("exponent_bits", part.exponent_bits), field("mantissa_bits", part.mantissa_bits),
        field("exponent_bias", part.exponent_bias), field("specials", part.specials),
        field("saturating", part.saturating), field("signed", part.is_signed),
        field("subnormals", part.subnormals);
  } else if constexpr (std::is_same_v<Part, TableFormat>) {
    field("values", part.values);
  } else if constexpr (std::is_same_v<Part, PowerSumFormat>) {
    field("bits", part.bit_width), field("terms", part.terms), field("root", part.root);
  } else if constexpr (std::is_same_v<Part, PerChannel>) {
    field("axis", part.axis);
  } else if constexpr (std::is_same_v<Part, PerGroup>) {
    field("axis", part.axis), field("group_size", part.group_size), field("pad", part.pad);
  } else if constexpr (std::is_same_v<Part, MinMax>) {
    field("include_zero", part.include_zero);
  } else if constexpr (std::is_same_v<Part, Percentile>) {
    field("percentile", part.q);
  } else if constexpr (std::is_same_v<Part, PercentileInterval>) {
    field("percentile_low", part.low), field("percentile_high", part.high);
  } else if constexpr (std::is_same_v<Part, MeanSigma>) {
    field("sigma", part.sigma);
  } else if constexpr (std::is_same_v<Part, Mse>) {
    field("grid_points", part.grid_points);
  } else if constexpr (std::is_same_v<Part, HalfQuadratic>) {
    field("iterations", part.iterations), field("p", part.p), field("beta", part.beta),
        field("kappa", part.kappa);
  } else if constexpr (std::is_same_v<Part, PowerOfTwo>) {
    field("power_rounding", part.rounding);
  } else if constexpr (std::is_same_v<Part, StoredAs>) {
    field("stored_dtype", part.dtype);
  } else if constexpr (std::is_same_v<Part, QuantizedBy>) {
    field("scale_quantizer", part.quantizer);
  } else if constexpr (std::is_same_v<Part, QuantizedMinimum>) {
    field("minimum_quantizer", part.quantizer);
  } else if constexpr (std::is_same_v<Part, ConstantScale>) {
    field("value", part.value);
  } else if constexpr (std::is_same_v<Part, Stochastic>) {
    field("seed", part.seed), field("only_in_training", part.only_in_training);
  } else if constexpr (std::is_same_v<Part, GaussianNoise>) {
    field("seed", part.seed);
  } else if constexpr (std::is_same_v<Part, LearnedHardSigmoid>) {
    field("stretch_low", part.stretch_low), field("stretch_high", part.stretch_high);
  } else if constexpr (std::is_same_v<Part, LearnedSigmoid>) {
    field("temperature", part.temperature);
  } else if constexpr (std::is_same_v<Part, TanhSurrogate>) {
    field("sharpness", part.sharpness);
  } else if constexpr (std::is_same_v<Part, FourierSurrogate>) {
    field("amplitude", part.amplitude);
  } else if constexpr (std::is_same_v<Part, TrustMask>) {
    field("trust", part.trust);
  } else if constexpr (is_custom<Part>) {
    for (auto& [name, value] : part.parameters) field(name.c_str(), value);
  }
}

void print_field(const std::string& name, const auto& value, SpecFields& fields) {
  fields.emplace_back(name, print(value));
}
// A quantizer in a quantizer: its fields with the name before them.
void print_field(const std::string& name, const Boxed<QuantSpec>& spec, SpecFields& fields) {
  for (const auto& [key, text] : to_fields(*spec)) fields.emplace_back(name + "." + key, text);
}

template <typename Variant>
void print_part(const char* key, const Variant& variant, SpecFields& fields) {
  std::visit(
      [&](const auto& part) {
        fields.emplace_back(key, part_name(part));
        visit_fields(
            part, [&](const char* name, const auto& value) { print_field(name, value, fields); });
      },
      variant);
}

// A word of its own says all of a format.
void print_format(const Format& format, SpecFields& fields) {
  for (const auto& [name, named] : named_formats()) {
    if (named == format) return void(fields.emplace_back("format", name));
  }
  print_part("format", format, fields);
}

/// Takes fields one by one and remembers which were read.
class Reader {
 public:
  Reader(const std::map<std::string, std::string>& fields, const QuantParts& parts)
      : left_(fields), parts_(parts) {}

  template <typename Value>
  void read(const std::string& key, Value& value) {
    if (const auto text = take(key)) parse(key, *text, value);
  }

  void read(const std::string& key, Boxed<QuantSpec>& spec) {
    std::map<std::string, std::string> inner;
    const std::string prefix = key + ".";
    for (auto at = left_.lower_bound(prefix); at != left_.end() && at->first.starts_with(prefix);
         at = left_.erase(at))
      inner.emplace(at->first.substr(prefix.size()), at->second);
    try {
      if (!inner.empty()) spec = from_fields(inner, parts_);
    } catch (const FieldError& error) {
      throw FieldError(prefix + error.key, error.what());
    }
  }

  template <typename Variant>
  void read_part(const std::string& key, Variant& variant) {
    if (const auto name = take(key)) variant = by_name<Variant>(key, *name, parts_);
    std::visit(
        [&](auto& part) {
          visit_fields(part, [&](const char* field, auto& value) { read(field, value); });
        },
        variant);
  }

  void expect_nothing_left() const {
    if (left_.empty()) return;
    const std::string& full = left_.begin()->first;
    const std::string key = full.substr(0, full.find('.'));
    const auto known = known_spec_keys(parts_);
    const bool exists = std::find(known.begin(), known.end(), key) != known.end();
    throw FieldError(full, exists ? "key \"" + key +
                                        "\" does not belong to the parts chosen here; remove it or "
                                        "choose the part that has it"
                                  : "unknown key \"" + key + "\"" + suggestion(key, known));
  }

 private:
  std::optional<std::string> take(const std::string& key) {
    const auto found = left_.find(key);
    if (found == left_.end()) return std::nullopt;
    std::string text = found->second;
    left_.erase(found);
    return text;
  }

  template <typename Variant>
  static Variant by_name(const std::string& key, const std::string& name, const QuantParts& parts) {
    std::optional<Variant> chosen;
    std::vector<std::string> names;
    const auto offer = [&](const auto& kind) {
      names.push_back(part_name(kind));
      if (name == names.back()) chosen = kind;
    };
    for_each_part<Variant>(offer);
    for (const auto& kind : parts_of<Variant>(parts)) offer(kind);
    if constexpr (std::is_same_v<Variant, Format>) {
      for (const auto& [word, format] : named_formats()) {
        names.push_back(word);
        if (name == word) chosen = format;
      }
    }
    if (!chosen)
      throw FieldError(key, key + ": unknown value \"" + name + "\"" + suggestion(name, names));
    return *chosen;
  }

  std::map<std::string, std::string> left_;
  const QuantParts& parts_;
};

template <typename Kind>
void print_scale(const Kind& scale, SpecFields& fields) {
  print_part("statistic", scale.statistic, fields);
  print_part("restriction", scale.restriction, fields);
  fields.emplace_back("minimum", print(scale.minimum));
  fields.emplace_back("threshold", print(scale.threshold));
}

}  // namespace

SpecFields to_fields(const QuantSpec& spec) {
  SpecFields fields;
  print_format(spec.format, fields);
  print_part("granularity", spec.granularity, fields);
  print_part("scale", spec.scale, fields);
  std::visit(
      [&](const auto& scale) {
        if constexpr (has_statistic<decltype(scale)>) print_scale(scale, fields);
      },
      spec.scale);
  print_part("zero_point", spec.zero_point, fields);
  print_part("rounding", spec.rounding, fields);
  print_part("gradient", spec.gradient, fields);
  return fields;
}

QuantSpec from_fields(const std::map<std::string, std::string>& fields, const QuantParts& parts) {
  check(parts);
  QuantSpec spec;
  Reader reader(fields, parts);
  reader.read_part("format", spec.format);
  reader.read_part("granularity", spec.granularity);
  reader.read_part("scale", spec.scale);
  std::visit(
      [&](auto& scale) {
        if constexpr (has_statistic<decltype(scale)>) {
          reader.read_part("statistic", scale.statistic);
          reader.read_part("restriction", scale.restriction);
          reader.read("minimum", scale.minimum);
          reader.read("threshold", scale.threshold);
        }
      },
      spec.scale);
  reader.read_part("zero_point", spec.zero_point);
  reader.read_part("rounding", spec.rounding);
  reader.read_part("gradient", spec.gradient);
  reader.expect_nothing_left();
  check(spec);
  return spec;
}

std::vector<std::string> known_spec_keys(const QuantParts& parts) {
  std::vector<std::string> keys;
  const auto add = [&](const std::string& key) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  };
  const auto add_part = [&]<typename Variant>(const char* key, std::type_identity<Variant>) {
    add(key);
    const auto add_fields = [&](auto kind) {
      visit_fields(kind, [&](const char* name, const auto&) { add(name); });
    };
    for_each_part<Variant>(add_fields);
    for (const auto& kind : parts_of<Variant>(parts)) add_fields(kind);
  };
  add_part("format", std::type_identity<Format>());
  add_part("granularity", std::type_identity<Granularity>());
  add_part("scale", std::type_identity<Scale>());
  add_part("statistic", std::type_identity<Statistic>());
  add_part("restriction", std::type_identity<Restriction>());
  add("minimum"), add("threshold");
  add_part("zero_point", std::type_identity<ZeroPoint>());
  add_part("rounding", std::type_identity<Rounding>());
  add_part("gradient", std::type_identity<Gradient>());
  return keys;
}

}  // namespace laconic
