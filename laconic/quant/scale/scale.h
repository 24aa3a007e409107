#pragma once

#include <string_view>
#include <variant>

#include "laconic/quant/restriction/restriction.h"
#include "laconic/quant/statistic/statistic.h"

namespace laconic {

/// scale = restriction(max(statistic(x), minimum) / threshold of the format).
struct StatisticScale {
  static constexpr std::string_view kName = "statistic";
  Statistic statistic = AbsMax{};
  Restriction restriction = AnyFloat{};
  double minimum = 1e-10;  ///< the statistic is at least this, real units
  bool operator==(const StatisticScale&) const = default;
};

/// A fixed scale, real units a code.
struct ConstantScale {
  static constexpr std::string_view kName = "constant";
  double value = 1.0;
  bool operator==(const ConstantScale&) const = default;
};

using Scale = std::variant<StatisticScale, ConstantScale>;

}  // namespace laconic
