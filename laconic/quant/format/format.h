#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <variant>

namespace laconic {

/// Integers: signed [-2^(b-1) (+1 when narrow), 2^(b-1) - 1], unsigned [0, 2^b - 1 (-1 when
/// narrow)].
struct IntFormat {
  static constexpr std::string_view kName = "int";
  int64_t bit_width = 8;  ///< 2 to 8 where codes are stored; up to 16 in simulation
  bool is_signed = true;
  bool narrow_range = false;
  bool operator==(const IntFormat&) const = default;
};

using Format = std::variant<IntFormat>;

/// Smallest and largest code.
struct CodeRange {
  int64_t q_min, q_max;
  bool operator==(const CodeRange&) const = default;
};
CodeRange code_range(const Format& format);

/// Bits that a stored code takes.
int64_t stored_bits(const Format& format);

/// The same as tensors: `bit_width` is a floating 0-dim tensor, may be fractional, and gets a
/// gradient through both bounds.
struct CodeBounds {
  at::Tensor q_min, q_max;
};
CodeBounds code_bounds(const IntFormat& format, const at::Tensor& bit_width);

/// @throws c10::ValueError for a bit width outside 1..16, or a narrow range that leaves a single
/// code.
void check_format(const Format& format);

}  // namespace laconic
