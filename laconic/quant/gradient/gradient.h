#pragma once

#include <string_view>
#include <variant>

namespace laconic {

/// The clamp passes the gradient through as if it were not there.
struct StraightThrough {
  static constexpr std::string_view kName = "straight_through";
  bool operator==(const StraightThrough&) const = default;
};

/// The true gradient of the clamp: to the value inside the range, to the bound outside.
struct Clipped {
  static constexpr std::string_view kName = "clipped";
  bool operator==(const Clipped&) const = default;
};

using Gradient = std::variant<StraightThrough, Clipped>;

}  // namespace laconic
