#include "laconic/quant/gradient/gradient.h"

#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>

#include <cmath>

#include "laconic/base/variant.h"
#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

at::Tensor clamp_codes(const Clipped&, const ClampInput& input) {
  const auto below_top = at::where(input.code.gt(input.q_max), input.q_max, input.code);
  return at::where(below_top.lt(input.q_min), input.q_min, below_top);
}

at::Tensor clamp_codes(const Pact&, const ClampInput& input) {
  return clamp_codes(Clipped{}, input);
}
at::Tensor clamp_codes(const Lsq&, const ClampInput& input) {
  return clamp_codes(Clipped{}, input);
}

at::Tensor clamped(const ClampInput& input) {
  return clamp_codes(Clipped{}, {input.code.detach(), input.q_min.detach(), input.q_max.detach()});
}

at::Tensor clamp_codes(const StraightThrough&, const ClampInput& input) {
  return straight_through(input.code, clamped(input));
}

const at::Tensor& real_of(const ClampInput& input) {
  return input.real.defined() ? input.real : input.code;
}

at::Tensor clamp_codes(const MagnitudeAware&, const ClampInput& input) {
  auto bound = clamped({real_of(input), input.q_min, input.q_max});
  auto number = real_of(input).detach();
  const auto inside = bound.eq(number);
  if (input.zero_point.defined()) {
    bound = bound - input.zero_point.detach();
    number = number - input.zero_point.detach();
  }
  const auto slope = at::where(inside, at::ones_like(number), bound / number);
  return with_slope(input.code, clamped(input), slope);
}

at::Tensor clamp_codes(const TrustMask& kind, const ClampInput& input) {
  const auto value = clamped(input);
  const auto trusted = (value - real_of(input).detach()).abs().le(kind.trust);
  return with_slope(input.code, value, trusted.to(value.scalar_type()));
}

at::Tensor clamp_codes(const CustomGradient& kind, const ClampInput& input) {
  return kind.function(kind.parameters, input.code, input.q_min, input.q_max);
}

// The bound as before, whose gradient g becomes g * (bound - zero_point) / scale for the scale.
at::Tensor bound_of_scale(const at::Tensor& bound, const at::Tensor& scale,
                          const at::Tensor& zero_point) {
  const auto plain = scale.detach();
  const auto steps = zero_point.defined() ? bound - zero_point : bound;
  return with_slope(scale, bound.expand_as(plain), steps / plain);
}

}  // namespace

at::Tensor apply_clamp(const Gradient& gradient, const ClampInput& input) {
  return std::visit([&](const auto& kind) { return clamp_codes(kind, input); }, gradient);
}

at::Tensor apply_clamp(const Gradient& gradient, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max) {
  return apply_clamp(gradient, ClampInput{code, q_min, q_max});
}

GradedScale apply_scale_gradient(const Gradient& gradient, const GradedScale& plain,
                                 const at::Tensor& zero_point, int64_t elements) {
  if (!plain.scale.requires_grad()) return plain;
  if (std::holds_alternative<Lsq>(gradient)) {
    const auto count = static_cast<double>(elements);
    const auto factor =
        (plain.q_max.detach().clamp_min(1).to(plain.scale.scalar_type()) * count).rsqrt();
    return {with_slope(plain.scale, plain.scale, factor), plain.q_min, plain.q_max};
  }
  if (!std::holds_alternative<Pact>(gradient)) return plain;
  return {plain.scale.detach(), bound_of_scale(plain.q_min, plain.scale, zero_point),
          bound_of_scale(plain.q_max, plain.scale, zero_point)};
}

void check_gradient(const Gradient& gradient) {
  const auto* mask = std::get_if<TrustMask>(&gradient);
  TORCH_CHECK_VALUE(mask == nullptr || mask->trust > 0,
                    "[TrustMask] trust: expected more than 0 steps, got ",
                    mask == nullptr ? 0 : mask->trust, ".");
}

}  // namespace laconic
