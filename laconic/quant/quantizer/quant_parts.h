#pragma once

#include <string>
#include <vector>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// Parts of a user's own program: each entry is the part with its default numbers. Readers of YAML
/// and JSON find them by name like ours; `.let` takes them as they are.
struct QuantParts {
  std::vector<CustomFormat> formats = {};
  std::vector<CustomGranularity> granularities = {};
  std::vector<CustomScale> scales = {};
  std::vector<CustomStatistic> statistics = {};
  std::vector<CustomRestriction> restrictions = {};
  std::vector<CustomZeroPoint> zero_points = {};
  std::vector<CustomRounding> roundings = {};
  std::vector<CustomGradient> gradients = {};
};

/// The user's parts of one kind: parts_of<Rounding>(parts).
template <typename Variant>
const auto& parts_of(const QuantParts& parts) {
  if constexpr (std::is_same_v<Variant, Format>) return parts.formats;
  if constexpr (std::is_same_v<Variant, Granularity>) return parts.granularities;
  if constexpr (std::is_same_v<Variant, Scale>) return parts.scales;
  if constexpr (std::is_same_v<Variant, Statistic>) return parts.statistics;
  if constexpr (std::is_same_v<Variant, Restriction>) return parts.restrictions;
  if constexpr (std::is_same_v<Variant, ZeroPoint>) return parts.zero_points;
  if constexpr (std::is_same_v<Variant, Rounding>) return parts.roundings;
  if constexpr (std::is_same_v<Variant, Gradient>) return parts.gradients;
}

/// @throws c10::ValueError for a part without name or function, a name that another part of its
/// kind has, and a number whose name is a key of ours or of a part of another kind: one mapping
/// holds them all.
void check(const QuantParts& parts);

}  // namespace laconic
