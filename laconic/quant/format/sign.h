#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/quant/format/element.h"

namespace laconic {

/// -1 (code 0) and 1 (code 1); 0 becomes 1.
struct BinaryFormat {
  static constexpr std::string_view kName = "binary";
  bool operator==(const BinaryFormat&) const = default;
};

/// -1, 0, 1 (codes 0, 1, 2): 0 up to a magnitude of `threshold` units of the scale. The clipped
/// gradient does not pass where the element is 0.
struct TernaryFormat {
  static constexpr std::string_view kName = "ternary";
  double threshold = 0.5;
  bool operator==(const TernaryFormat&) const = default;
};

// The functions of a format: see format.h.
void check_format_kind(const BinaryFormat& format);
void check_format_kind(const TernaryFormat& format);
std::string describe_format(const BinaryFormat& format);
std::string describe_format(const TernaryFormat& format);
std::vector<double> format_values(const BinaryFormat& format);
std::vector<double> format_values(const TernaryFormat& format);
at::Tensor format_elements(const BinaryFormat& format, const at::Tensor& real,
                           const ElementRule& rule);
at::Tensor format_elements(const TernaryFormat& format, const at::Tensor& real,
                           const ElementRule& rule);

}  // namespace laconic
