#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>

namespace laconic {

/// Integers: signed [-2^(b-1) (+1 when narrow), 2^(b-1) - 1], unsigned [0, 2^b - 1 (-1 when narrow)].
struct IntFormat {
  static constexpr std::string_view kName = "int";
  int64_t bit_width = 8;  ///< 2 to 8
  bool is_signed = true;
  bool narrow_range = false;
  bool operator==(const IntFormat&) const = default;
};

using Format = std::variant<IntFormat>;

/// Smallest and largest code.
struct CodeRange {
  int64_t q_min, q_max;
};
CodeRange code_range(const Format& format);

}  // namespace laconic
