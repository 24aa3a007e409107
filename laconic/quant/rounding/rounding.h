#pragma once

#include <string_view>
#include <variant>

namespace laconic {

/// Nearest, ties to even.
struct HalfEven {
  static constexpr std::string_view kName = "half_even";
  bool operator==(const HalfEven&) const = default;
};

using Rounding = std::variant<HalfEven>;

}  // namespace laconic
