#pragma once

#include <ATen/core/ATen_fwd.h>

#include <string_view>
#include <variant>
#include <vector>

#include "laconic/base/state.h"
#include "laconic/quant/custom/custom.h"
#include "laconic/quant/rounding/learned.h"
#include "laconic/quant/rounding/nearest.h"
#include "laconic/quant/rounding/random.h"
#include "laconic/quant/rounding/surrogate.h"

namespace laconic {

/// A rounding of a user's own: real codes -> whole ones of the same shape, each within one step.
/// The gradient passes straight through whatever it does; or it is multiplied by a second function
/// of the same kind, `slope`, where one is given.
struct RoundingKind {
  static constexpr std::string_view kWord = "rounding";
  using Function = at::Tensor(const CustomParameters& parameters, const at::Tensor& code);
  using Slope = Function;
};
using CustomRounding = Custom<RoundingKind>;

// A part has one of these: round_codes(part, code), without gradient, which then passes straight
// through; round_codes(part, code, state) with a gradient of its own; rounding_slope(part, code).
using Rounding = std::variant<HalfEven, HalfAway, Ceil, Floor, TowardZero, Dpu, Stochastic,
                              GaussianNoise, LearnedHardSigmoid, LearnedSigmoid, LearnedOffset,
                              TanhSurrogate, FourierSurrogate, CustomRounding>;

at::Tensor round_codes(const CustomRounding&, const at::Tensor& code, const RoundingState& state);

/// Real code -> integer code, as a float tensor, with the gradient of the part. Soft in training:
/// learned roundings and noise give codes between whole numbers. NaN stays NaN.
/// @param state  what make_rounding_state gave; its value in the shape of `code`. None: learned
///               roundings round to nearest, random ones make their first draw.
at::Tensor apply_rounding(const Rounding& rounding, const at::Tensor& code,
                          const RoundingState& state = {});

/// The state of a rounding for a tensor whose real codes (x / scale + zero_point) are these, not in
/// training; empty for roundings that keep nothing.
RoundingState make_rounding_state(const Rounding& rounding, const at::Tensor& code);

/// Its tensors, to be registered: rounding_value (trained), rounding_draw (to be counted up a
/// step).
std::vector<StateTensor> state_tensors(RoundingState& state);

/// Whether codes are the nearest ones, half to even, whatever the gradient: what fused loops know.
bool rounds_half_even(const Rounding& rounding);

/// @throws c10::ValueError for a stretch that does not hold 0 to 1, a temperature of 0, ...
void check_rounding(const Rounding& rounding);

}  // namespace laconic
