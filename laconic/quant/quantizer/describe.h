#pragma once

#include <string>
#include <type_traits>
#include <variant>

#include "laconic/quant/custom/custom.h"
#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

// Parts in words, as to_string and the errors of `check` say them.

/// A user's part with its numbers: "round_from(fraction 0.3)".
std::string describe_own(const std::string& name, const CustomParameters& parameters);

/// The part's word in YAML, with the numbers of a user's own.
template <typename... Kinds>
std::string name_of(const std::variant<Kinds...>& part) {
  return std::visit(
      [](const auto& kind) {
        if constexpr (is_custom<std::remove_cvref_t<decltype(kind)>>)
          return describe_own(kind.name, kind.parameters);
        else
          return part_name(kind);
      },
      part);
}

std::string describe(const Granularity& granularity);
std::string describe(const Scale& scale);
std::string describe(const ZeroPoint& zero_point);

}  // namespace laconic
