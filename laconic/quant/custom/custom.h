#pragma once

#include <c10/util/Exception.h>

#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "laconic/base/variant.h"

namespace laconic {

/// Numbers of a user's own part, by their names in YAML.
using CustomParameters = std::map<std::string, double>;

/// What a kind without a second function has in its place.
struct NoSlope {
  bool operator==(const NoSlope&) const = default;
};
template <typename Kind>
struct SlopeOf {
  using Type = NoSlope;
};
template <typename Kind>
requires requires { typename Kind::Slope; }
struct SlopeOf<Kind> {
  using Type = typename Kind::Slope*;
};

/// A user's own part of a quantizer: a name, numbers with their defaults, and the plain function
/// that is the part. A value like every part: copied, compared, printed, given to `.let`; read from
/// YAML and JSON where its program's QuantParts are given. `Kind` says which kind of part it is and
/// what its function takes (Kind::Function, see the header of the kind).
template <typename Kind>
struct Custom {
  static constexpr std::string_view kName = "custom";  ///< of the alternative; never read from YAML
  std::string name;
  CustomParameters parameters;
  typename Kind::Function* function = nullptr;
  typename SlopeOf<Kind>::Type slope = {};  ///< of kinds that have a slope: see the kind

  bool operator==(const Custom&) const = default;

  /// A copy with another value of one number. @throws c10::ValueError for a name it does not have.
  Custom with(const std::string& parameter, double value) const {
    Custom changed = *this;
    const auto found = changed.parameters.find(parameter);
    TORCH_CHECK_VALUE(found != changed.parameters.end(), "[", Kind::kWord, "] ", name,
                      ": it has no number \"", parameter, "\".");
    found->second = value;
    return changed;
  }
};

template <typename Part>
inline constexpr bool is_custom = false;
template <typename Kind>
inline constexpr bool is_custom<Custom<Kind>> = true;

/// The part's word in YAML.
template <typename Part>
std::string part_name(const Part& part) {
  if constexpr (is_custom<Part>) {
    return part.name;
  } else {
    return std::string(part.kName);
  }
}
template <typename... Kinds>
std::string part_name(const std::variant<Kinds...>& part) {
  return std::visit([](const auto& kind) { return part_name(kind); }, part);
}

/// As for_each_alternative, without the Custom one: the parts that have a value by default.
template <typename Variant, typename Function>
void for_each_part(Function&& function) {
  for_each_alternative<Variant>([&](auto kind) {
    if constexpr (!is_custom<decltype(kind)>) function(kind);
  });
}

/// @throws c10::ValueError for a part that has no name or no function.
template <typename Part>
void check_custom(const Part& part) {
  if constexpr (is_custom<Part>) {
    TORCH_CHECK_VALUE(!part.name.empty() && part.function != nullptr,
                      "[quantizer] a part of the program's own, \"", part.name,
                      "\": expected a name and a function, got ",
                      part.name.empty() ? "no name" : "no function", ".");
  }
}

}  // namespace laconic
