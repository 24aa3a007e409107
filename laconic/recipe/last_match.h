#pragma once

#include <algorithm>
#include <vector>

#include "laconic/recipe/recipe.h"

namespace laconic {

/// The last rule with a pattern that matches; null when there is none.
/// @param matches  bool(const LayerPattern&).
template <typename Rule, typename Matches>
const Rule* last_match(const std::vector<Rule>& rules, const Matches& matches) {
  const auto found = std::find_if(rules.rbegin(), rules.rend(), [&](const Rule& rule) {
    return std::any_of(rule.layers.begin(), rule.layers.end(), matches);
  });
  return found == rules.rend() ? nullptr : &*found;
}

}  // namespace laconic
