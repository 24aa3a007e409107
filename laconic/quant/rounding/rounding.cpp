#include "laconic/quant/rounding/rounding.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include "laconic/base/variant.h"
#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

template <typename Kind>
concept IsSurrogate = requires(const Kind& kind, const at::Tensor& code) {
  rounding_slope(kind, code);
};
template <typename Kind>
concept HasOwnGradient = requires(const Kind& kind, const at::Tensor& code,
                                  const RoundingState& state) {
  round_codes(kind, code, state);
};
template <typename Kind>
concept IsLearned = requires(const Kind& kind, const at::Tensor& code) {
  first_value(kind, code);
};
template <typename Kind>
concept IsRandom = requires(const Kind& kind) {
  kind.seed;
};

}  // namespace

at::Tensor round_codes(const CustomRounding& kind, const at::Tensor& code, const RoundingState&) {
  const auto plain = code.detach();
  const auto whole = kind.function(kind.parameters, plain);
  if (kind.slope == nullptr) return straight_through(code, whole);
  return with_slope(code, whole, kind.slope(kind.parameters, plain));
}

at::Tensor apply_rounding(const Rounding& rounding, const at::Tensor& code,
                          const RoundingState& state) {
  return std::visit(
      [&](const auto& kind) {
        using Kind = std::decay_t<decltype(kind)>;
        if constexpr (IsSurrogate<Kind>) {
          const auto plain = code.detach();
          return with_slope(code, plain.round(), rounding_slope(kind, plain));
        } else if constexpr (HasOwnGradient<Kind>) {
          return round_codes(kind, code, state);
        } else {
          return straight_through(code, round_codes(kind, code.detach()));
        }
      },
      rounding);
}

RoundingState make_rounding_state(const Rounding& rounding, const at::Tensor& code) {
  RoundingState state;
  std::visit(
      [&](const auto& kind) {
        using Kind = std::decay_t<decltype(kind)>;
        if constexpr (IsLearned<Kind>) state.value = first_value(kind, code.detach());
        if constexpr (IsRandom<Kind>) state.draw = at::zeros({}, c10::ScalarType::Long);
      },
      rounding);
  return state;
}

std::vector<StateTensor> state_tensors(RoundingState& state) {
  std::vector<StateTensor> tensors;
  if (state.value.defined()) tensors.push_back({"rounding_value", &state.value, true});
  if (state.draw.defined()) tensors.push_back({"rounding_draw", &state.draw, false});
  return tensors;
}

bool rounds_half_even(const Rounding& rounding) {
  return std::visit(
      [](const auto& kind) {
        using Kind = std::decay_t<decltype(kind)>;
        return std::is_same_v<Kind, HalfEven> || IsSurrogate<Kind>;
      },
      rounding);
}

void check_rounding(const Rounding& rounding) {
  const auto check_positive = [](std::string_view part, const char* what, double number) {
    TORCH_CHECK_VALUE(number > 0, "[", part, "] ", what, ": expected more than 0, got ", number,
                      ".");
  };
  std::visit(Overloaded{[](const LearnedHardSigmoid& kind) {
                          TORCH_CHECK_VALUE(
                              kind.stretch_low < 0 && kind.stretch_high > 1,
                              "[LearnedHardSigmoid] expected stretch_low < 0 and "
                              "stretch_high > 1, so that 0 and 1 can be reached, got ",
                              kind.stretch_low, " and ", kind.stretch_high, ".");
                        },
                        [&](const LearnedSigmoid& kind) {
                          check_positive("LearnedSigmoid", "temperature", kind.temperature);
                        },
                        [&](const TanhSurrogate& kind) {
                          check_positive("TanhSurrogate", "sharpness", kind.sharpness);
                        },
                        [](const FourierSurrogate& kind) {
                          TORCH_CHECK_VALUE(
                              kind.amplitude >= 0 && kind.amplitude < 1,
                              "[FourierSurrogate] amplitude: expected 0 to less than 1, got ",
                              kind.amplitude, ".");
                        },
                        [](const auto&) {}},
             rounding);
}

}  // namespace laconic
