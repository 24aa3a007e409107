#pragma once

#include <ATen/core/ATen_fwd.h>

#include <string_view>
#include <variant>

#include "laconic/quant/custom/custom.h"

namespace laconic {

/// The clamp passes the gradient through as if it were not there.
struct StraightThrough {
  static constexpr std::string_view kName = "straight_through";
  bool operator==(const StraightThrough&) const = default;
};

/// The true gradient of the clamp: to the value inside the range, to the bound outside.
struct Clipped {
  static constexpr std::string_view kName = "clipped";
  bool operator==(const Clipped&) const = default;
};

/// A clamp of a user's own: min(max(code, q_min), q_max) by operations whose gradient is the part.
struct GradientKind {
  static constexpr std::string_view kWord = "gradient";
  using Function = at::Tensor(const CustomParameters& parameters, const at::Tensor& code,
                              const at::Tensor& q_min, const at::Tensor& q_max);
};
using CustomGradient = Custom<GradientKind>;

using Gradient = std::variant<StraightThrough, Clipped, CustomGradient>;

at::Tensor clamp_codes(const StraightThrough&, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max);
at::Tensor clamp_codes(const Clipped&, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max);
at::Tensor clamp_codes(const CustomGradient&, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max);

/// min(max(code, q_min), q_max) with the gradient of the part; the bounds are 0-dim tensors. NaN
/// stays NaN.
at::Tensor apply_clamp(const Gradient& gradient, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max);

}  // namespace laconic
