#include "laconic/quant/quantizer/fields.h"

#include <algorithm>
#include <optional>

#include "laconic/base/variant.h"
#include "laconic/quant/quantizer/field_text-inl.h"
#include "laconic/quant/quantizer/part_fields-inl.h"

namespace laconic {
namespace {

void print_field(const std::string& name, const auto& value, SpecFields& fields) {
  fields.emplace_back(name, print(value));
}
// A quantizer in a quantizer: its fields with the name before them.
void print_field(const std::string& name, const Boxed<QuantSpec>& spec, SpecFields& fields) {
  for (const auto& [key, text] : to_fields(*spec)) fields.emplace_back(name + "." + key, text);
}

template <typename Variant>
inline constexpr bool has_own_parts = false;
template <typename... Kinds>
inline constexpr bool has_own_parts<std::variant<Kinds...>> = (is_custom<Kinds> || ...);

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
    if constexpr (has_own_parts<Variant>) {
      for (const auto& kind : parts_of<Variant>(parts)) offer(kind);
    }
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

void print_rule(const ScaleRule& scale, SpecFields& fields) {
  print_part("statistic", scale.statistic, fields);
  print_part("restriction", scale.restriction, fields);
  fields.emplace_back("minimum", print(scale.minimum));
  fields.emplace_back("threshold", print(scale.threshold));
  fields.emplace_back("affine", print(scale.affine));
  if (scale.affine != Affine::kNone) fields.emplace_back("factor", print(scale.factor));
}

}  // namespace

SpecFields to_fields(const QuantSpec& spec) {
  SpecFields fields;
  print_format(spec.format, fields);
  print_part("granularity", spec.granularity, fields);
  print_part("scale", spec.scale, fields);
  std::visit(
      [&](const auto& scale) {
        if constexpr (has_statistic<decltype(scale)>) print_rule(scale, fields);
      },
      spec.scale);
  print_part("zero_point", spec.zero_point, fields);
  if (!std::holds_alternative<NoZeroPoint>(spec.zero_point)) {
    print_part("zero_point_minimum", spec.range_start.minimum, fields);
    fields.emplace_back("zero_point_source", print(spec.range_start.source));
  }
  print_part("rounding", spec.rounding, fields);
  print_part("gradient", spec.gradient, fields);
  print_part("bit_width", spec.bit_width, fields);
  fields.emplace_back("non_finite", print(spec.non_finite));
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
          reader.read("affine", scale.affine);
          if (scale.affine != Affine::kNone) reader.read("factor", scale.factor);
        }
      },
      spec.scale);
  reader.read_part("zero_point", spec.zero_point);
  if (!std::holds_alternative<NoZeroPoint>(spec.zero_point)) {
    reader.read_part("zero_point_minimum", spec.range_start.minimum);
    reader.read("zero_point_source", spec.range_start.source);
  }
  reader.read_part("rounding", spec.rounding);
  reader.read_part("gradient", spec.gradient);
  reader.read_part("bit_width", spec.bit_width);
  reader.read("non_finite", spec.non_finite);
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
    if constexpr (has_own_parts<Variant>) {
      for (const auto& kind : parts_of<Variant>(parts)) add_fields(kind);
    }
  };
  add_part("format", std::type_identity<Format>());
  add_part("granularity", std::type_identity<Granularity>());
  add_part("scale", std::type_identity<Scale>());
  add_part("statistic", std::type_identity<Statistic>());
  add_part("restriction", std::type_identity<Restriction>());
  add("minimum"), add("threshold"), add("affine"), add("factor");
  add_part("zero_point", std::type_identity<ZeroPoint>());
  add_part("rounding", std::type_identity<Rounding>());
  add_part("zero_point_minimum", std::type_identity<Minimum>());
  add("zero_point_source");
  add_part("gradient", std::type_identity<Gradient>());
  add_part("bit_width", std::type_identity<BitWidth>());
  add("non_finite");
  return keys;
}

}  // namespace laconic
