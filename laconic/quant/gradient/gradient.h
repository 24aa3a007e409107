#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
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

/// As Clipped, but the scale is moved by what is clipped only: the bound on the range is what is
/// learned. Paper: Choi et al. 2018, arXiv:1805.06085.
struct Pact {
  static constexpr std::string_view kName = "pact";
  bool operator==(const Pact&) const = default;
};

/// As Clipped, the scale's gradient multiplied by 1 / sqrt(n q_max), n the elements that share it:
/// steps of scale and weights then are of one size. Paper: Esser et al. 2019, arXiv:1902.08153.
struct Lsq {
  static constexpr std::string_view kName = "lsq";
  bool operator==(const Lsq&) const = default;
};

/// Inside of the range the gradient passes; outside it is multiplied by bound / number, so that
/// what is clipped still comes back. Nothing goes to the bound.
/// Paper: Sakr et al. 2022, arXiv:2206.06501.
struct MagnitudeAware {
  static constexpr std::string_view kName = "magnitude_aware";
  bool operator==(const MagnitudeAware&) const = default;
};

/// The gradient passes only where a number was moved by at most `trust` steps: what is clipped by
/// more is not trusted. Nothing goes to the bound. Paper: QuEST 2025, arXiv:2502.05003, half a
/// step.
struct TrustMask {
  static constexpr std::string_view kName = "trust_mask";
  double trust = 0.5;  ///< in steps, > 0
  bool operator==(const TrustMask&) const = default;
};

/// A clamp of a user's own: min(max(code, q_min), q_max) by operations whose gradient is the part.
struct GradientKind {
  static constexpr std::string_view kWord = "gradient";
  using Function = at::Tensor(const CustomParameters& parameters, const at::Tensor& code,
                              const at::Tensor& q_min, const at::Tensor& q_max);
};
using CustomGradient = Custom<GradientKind>;

using Gradient =
    std::variant<StraightThrough, Clipped, Pact, Lsq, MagnitudeAware, TrustMask, CustomGradient>;

/// What a clamp sees. Shapes broadcast.
struct ClampInput {
  at::Tensor code;             ///< rounded; its gradient goes on to the real number
  at::Tensor q_min, q_max;     ///< bounds
  at::Tensor real = {};        ///< before rounding, x / scale + zero_point; undefined: `code`
  at::Tensor zero_point = {};  ///< undefined: 0
};

/// min(max(code, q_min), q_max) with the gradient of the part. NaN stays NaN.
at::Tensor apply_clamp(const Gradient& gradient, const ClampInput& input);

/// The same without knowing what was before the rounding. The bounds are 0-dim tensors.
at::Tensor apply_clamp(const Gradient& gradient, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max);

/// Scale and bounds as the formula (x / scale, clamp, times scale) shall use them: the same
/// numbers, with the gradient that the part gives the scale.
struct GradedScale {
  at::Tensor scale, q_min, q_max;
};

/// @param scale       real units a code
/// @param zero_point  undefined: 0
/// @param elements    how many share a scale
GradedScale apply_scale_gradient(const Gradient& gradient, const GradedScale& plain,
                                 const at::Tensor& zero_point, int64_t elements);

/// @throws c10::ValueError for a trust of 0 or less.
void check_gradient(const Gradient& gradient);

}  // namespace laconic
