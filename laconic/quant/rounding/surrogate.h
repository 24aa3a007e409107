#pragma once

#include <ATen/core/ATen_fwd.h>

#include <string_view>

namespace laconic {

// Surrogates round half to even, and multiply the gradient by the slope of a smooth staircase.

/// Steps of tanh: slope k (1 - tanh(k d)^2) / (2 tanh(k / 2)), d from the middle between two whole
/// numbers, k the sharpness; 1 on average over a step. Paper: Gong et al. 2019, arXiv:1908.05033.
struct TanhSurrogate {
  static constexpr std::string_view kName = "tanh";
  double sharpness = 5;
  bool operator==(const TanhSurrogate&) const = default;
};

/// A Fourier series with coefficients that fall geometrically, in closed form: slope
/// 2 / (1 + a cos(pi (x + round(x)))) - 1, a the amplitude: near 0 on whole numbers, 1 between two.
struct FourierSurrogate {
  static constexpr std::string_view kName = "fourier";
  double amplitude = 0.93;
  bool operator==(const FourierSurrogate&) const = default;
};

/// What the gradient is multiplied by, for each real code.
at::Tensor rounding_slope(const TanhSurrogate& kind, const at::Tensor& code);
at::Tensor rounding_slope(const FourierSurrogate& kind, const at::Tensor& code);

}  // namespace laconic
