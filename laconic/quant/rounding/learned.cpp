#include "laconic/quant/rounding/learned.h"

#include <ATen/ops/zeros_like.h>

#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

template <typename Kind>
at::Tensor value_of(const Kind& kind, const at::Tensor& code, const RoundingState& state) {
  if (!state.value.defined()) return first_value(kind, code.detach());
  TORCH_CHECK_VALUE(state.value.sizes() == code.sizes(), "[", Kind::kName,
                    "] expected a learned number for each code, ", code.sizes(), ", got ",
                    state.value.sizes(), ".");
  return state.value;
}

// How far up from its floor a code goes: soft, or 0 or 1.
at::Tensor from_floor(const at::Tensor& code, const at::Tensor& soft, bool is_soft) {
  const auto up = is_soft ? soft : soft.detach().gt(0.5).to(code.scalar_type());
  return straight_through(code, code.detach().floor()) + up;
}

}  // namespace

at::Tensor first_value(const LearnedHardSigmoid& kind, const at::Tensor& code) {
  const auto fraction = code - code.floor();
  return ((kind.stretch_high - kind.stretch_low) / (fraction - kind.stretch_low) - 1).log().neg();
}

at::Tensor first_value(const LearnedSigmoid&, const at::Tensor& code) {
  return first_value(LearnedHardSigmoid{}, code);
}

at::Tensor first_value(const LearnedOffset&, const at::Tensor& code) {
  return at::zeros_like(code);
}

at::Tensor round_codes(const LearnedHardSigmoid& kind, const at::Tensor& code,
                       const RoundingState& state) {
  const auto stretched =
      value_of(kind, code, state).sigmoid() * (kind.stretch_high - kind.stretch_low) +
      kind.stretch_low;
  return from_floor(code, stretched.clamp(0, 1), state.is_training);
}

at::Tensor round_codes(const LearnedSigmoid& kind, const at::Tensor& code,
                       const RoundingState& state) {
  return from_floor(code, (value_of(kind, code, state) / kind.temperature).sigmoid(),
                    state.is_training);
}

at::Tensor round_codes(const LearnedOffset& kind, const at::Tensor& code,
                       const RoundingState& state) {
  const auto value = value_of(kind, code, state);
  const auto moved = code + straight_through(value, value.detach().clamp(-0.5, 0.5));
  return straight_through(moved, moved.detach().round());
}

}  // namespace laconic
