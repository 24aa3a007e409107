#pragma once

#include <ATen/core/ATen_fwd.h>

#include <string_view>

namespace laconic {

/// Nearest, ties to even.
struct HalfEven {
  static constexpr std::string_view kName = "half_even";
  bool operator==(const HalfEven&) const = default;
};

/// Nearest, ties away from zero.
struct HalfAway {
  static constexpr std::string_view kName = "half_away";
  bool operator==(const HalfAway&) const = default;
};

/// Up, to the next integer.
struct Ceil {
  static constexpr std::string_view kName = "ceil";
  bool operator==(const Ceil&) const = default;
};

/// Down, to the next integer.
struct Floor {
  static constexpr std::string_view kName = "floor";
  bool operator==(const Floor&) const = default;
};

/// Towards zero.
struct TowardZero {
  static constexpr std::string_view kName = "toward_zero";
  bool operator==(const TowardZero&) const = default;
};

/// Nearest, ties to even, but a negative tie goes up (a data-flow unit's rounding).
struct Dpu {
  static constexpr std::string_view kName = "dpu";
  bool operator==(const Dpu&) const = default;
};

// Whole numbers within one step of `code`; no gradient.
at::Tensor round_codes(const HalfEven&, const at::Tensor& code);
at::Tensor round_codes(const HalfAway&, const at::Tensor& code);
at::Tensor round_codes(const Ceil&, const at::Tensor& code);
at::Tensor round_codes(const Floor&, const at::Tensor& code);
at::Tensor round_codes(const TowardZero&, const at::Tensor& code);
at::Tensor round_codes(const Dpu&, const at::Tensor& code);

}  // namespace laconic
