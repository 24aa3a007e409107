#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace laconic {

/// Rows of text as columns: the first to the left, the others to the right; a line under the head.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

/// `value` with `digits` after the point.
std::string fixed(double value, int digits);

}  // namespace laconic
