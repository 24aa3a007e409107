#pragma once

#include <cstdint>
#include <string_view>

#include "laconic/quant/rounding/state.h"

namespace laconic {

// Random roundings draw from a counter-based generator: the number of an element is a function of
// the seed, the draw (RoundingState) and the element's place in its tensor, not of the number of
// threads. The gradient passes straight through.

/// Up with a probability of the fraction, else down: right on average. The same numbers at each
/// call unless the state counts draws.
struct Stochastic {
  static constexpr std::string_view kName = "stochastic";
  int64_t seed = 0;
  bool only_in_training = false;  ///< half to even else
  bool operator==(const Stochastic&) const = default;
};

/// In training code + round(n / 2), n of a standard normal distribution: noise of whole steps on
/// numbers that stay real (0 at 68 %, one step at 31 %). Else half to even. For a step of
/// absmax / 2^(b-1) this is Gaussian weight sampling; we clamp like any quantizer, which the paper
/// does not. The gradient of the scale is that of the noise. Paper: arXiv:2505.11170.
struct GaussianNoise {
  static constexpr std::string_view kName = "gaussian_noise";
  int64_t seed = 0;
  bool operator==(const GaussianNoise&) const = default;
};

at::Tensor round_codes(const Stochastic& kind, const at::Tensor& code, const RoundingState& state);
at::Tensor round_codes(const GaussianNoise& kind, const at::Tensor& code,
                       const RoundingState& state);

}  // namespace laconic
