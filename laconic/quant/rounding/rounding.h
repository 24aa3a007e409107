#pragma once

#include <ATen/core/ATen_fwd.h>

#include <string_view>
#include <variant>

#include "laconic/quant/custom/custom.h"

namespace laconic {

/// Nearest, ties to even.
struct HalfEven {
  static constexpr std::string_view kName = "half_even";
  bool operator==(const HalfEven&) const = default;
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

/// A rounding of a user's own: real codes -> whole ones of the same shape, each within one step.
/// The gradient passes straight through whatever it does.
struct RoundingKind {
  static constexpr std::string_view kWord = "rounding";
  using Function = at::Tensor(const CustomParameters& parameters, const at::Tensor& code);
};
using CustomRounding = Custom<RoundingKind>;

using Rounding = std::variant<HalfEven, Ceil, Floor, TowardZero, Dpu, CustomRounding>;

// One overload a part: whole numbers within one step of `code`, no gradient.
at::Tensor round_codes(const HalfEven&, const at::Tensor& code);
at::Tensor round_codes(const Ceil&, const at::Tensor& code);
at::Tensor round_codes(const Floor&, const at::Tensor& code);
at::Tensor round_codes(const TowardZero&, const at::Tensor& code);
at::Tensor round_codes(const Dpu&, const at::Tensor& code);
at::Tensor round_codes(const CustomRounding&, const at::Tensor& code);

/// Real code -> integer code, as a float tensor; the gradient passes straight through. NaN stays
/// NaN.
at::Tensor apply_rounding(const Rounding& rounding, const at::Tensor& code);

}  // namespace laconic
