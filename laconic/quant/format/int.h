#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/quant/format/element.h"

namespace laconic {

/// Integers: signed [-2^(b-1) (+1 when narrow), 2^(b-1) - 1], unsigned [0, 2^b - 1 (-1 when
/// narrow)]. An element is its code.
struct IntFormat {
  static constexpr std::string_view kName = "int";
  int64_t bit_width = 8;  ///< 2 to 8 where codes are stored; up to 16 in simulation
  bool is_signed = true;
  bool narrow_range = false;
  bool operator==(const IntFormat&) const = default;
};

/// Smallest and largest code of `bit_width` bits, a floating 0-dim tensor that may be fractional
/// (a learned bit width) and gets a gradient through both bounds.
CodeBounds code_bounds(const IntFormat& format, const at::Tensor& bit_width);

// The functions of a format: see format.h.
void check_format_kind(const IntFormat& format);
std::string describe_format(const IntFormat& format);
int64_t format_bits(const IntFormat& format);
ElementRange format_range(const IntFormat& format);
std::vector<double> format_values(const IntFormat& format);
at::Tensor format_elements(const IntFormat& format, const at::Tensor& real,
                           const ElementRule& rule);
at::Tensor format_codes(const IntFormat& format, const at::Tensor& elements);

}  // namespace laconic
