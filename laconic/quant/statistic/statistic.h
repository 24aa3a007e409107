#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

namespace laconic {

/// max |x|
struct AbsMax {
  static constexpr std::string_view kName = "absmax";
  bool operator==(const AbsMax&) const = default;
};

/// max - min(min, 0): the range of an asymmetric quantizer.
struct MinMax {
  static constexpr std::string_view kName = "min_max";
  bool operator==(const MinMax&) const = default;
};

/// k-th smallest |x|, k = floor(0.01 q n + 0.5).
struct Percentile {
  static constexpr std::string_view kName = "percentile";
  double q = 99.999;
  bool operator==(const Percentile&) const = default;
};

/// Grid search of the range with the least (weighted) squared error.
struct Mse {
  static constexpr std::string_view kName = "mse";
  int64_t grid_points = 20;
  bool operator==(const Mse&) const = default;
};

using Statistic = std::variant<AbsMax, MinMax, Percentile, Mse>;

}  // namespace laconic
