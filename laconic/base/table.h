#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace laconic {

// Tables of rows with a name (solvers, transforms, exporters).

/// The row of that name; null when there is none.
template <typename Row>
const Row* find_row(std::span<const Row> rows, std::string_view name) {
  for (const Row& row : rows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

/// The names, in order; `more` after `rows`.
template <typename Row>
std::vector<std::string> row_names(std::span<const Row> rows, std::span<const Row> more = {}) {
  std::vector<std::string> names;
  for (const auto& table : {rows, more}) {
    for (const Row& row : table) names.emplace_back(row.name);
  }
  return names;
}

}  // namespace laconic
