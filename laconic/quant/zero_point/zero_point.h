#pragma once

#include <string_view>
#include <variant>

namespace laconic {

/// Symmetric.
struct NoZeroPoint {
  static constexpr std::string_view kName = "none";
  bool operator==(const NoZeroPoint&) const = default;
};

/// clamp(round(-min(x, 0) / scale)) in the code range.
struct IntegerZeroPoint {
  static constexpr std::string_view kName = "integer";
  bool operator==(const IntegerZeroPoint&) const = default;
};

/// -min(x, 0) / scale + q_min, not rounded.
struct FloatZeroPoint {
  static constexpr std::string_view kName = "float";
  bool operator==(const FloatZeroPoint&) const = default;
};

using ZeroPoint = std::variant<NoZeroPoint, IntegerZeroPoint, FloatZeroPoint>;

}  // namespace laconic
