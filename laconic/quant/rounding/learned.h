#pragma once

#include <string_view>

#include "laconic/quant/rounding/state.h"

namespace laconic {

// Learned roundings: a number v an element (RoundingState::value) says where its code goes. In
// training the codes are soft; else whole. Gradients reach v, and straight through the code.
// Without a state they round as their first v says: to nearest.

/// AdaRound: floor(code) + h, h = clamp((stretch_high - stretch_low) * sigmoid(v) + stretch_low,
/// 0, 1); whole: h > 0.5. First v: h is the fraction of the code, nothing is lost.
/// Paper: Nagel et al. 2020, arXiv:2004.10568.
struct LearnedHardSigmoid {
  static constexpr std::string_view kName = "learned_hard_sigmoid";
  double stretch_low = -0.1, stretch_high = 1.1;
  bool operator==(const LearnedHardSigmoid&) const = default;
};

/// floor(code) + sigmoid(v / temperature); whole: v > 0. First v: as that of LearnedHardSigmoid
/// with its defaults, which is finite also for whole codes.
struct LearnedSigmoid {
  static constexpr std::string_view kName = "learned_sigmoid";
  double temperature = 1;
  bool operator==(const LearnedSigmoid&) const = default;
};

/// AutoRound: round(code + clamp(v, -0.5, 0.5)), half to even, in training too; the gradient passes
/// the clamp. First v: 0. Paper: Cheng et al. 2023, arXiv:2309.05516.
struct LearnedOffset {
  static constexpr std::string_view kName = "learned_offset";
  bool operator==(const LearnedOffset&) const = default;
};

/// The first v of the real codes of a tensor, in their shape.
at::Tensor first_value(const LearnedHardSigmoid& kind, const at::Tensor& code);
at::Tensor first_value(const LearnedSigmoid& kind, const at::Tensor& code);
at::Tensor first_value(const LearnedOffset& kind, const at::Tensor& code);

/// @param state  its value, where defined, in the shape of `code`.
at::Tensor round_codes(const LearnedHardSigmoid& kind, const at::Tensor& code,
                       const RoundingState& state);
at::Tensor round_codes(const LearnedSigmoid& kind, const at::Tensor& code,
                       const RoundingState& state);
at::Tensor round_codes(const LearnedOffset& kind, const at::Tensor& code,
                       const RoundingState& state);

}  // namespace laconic
