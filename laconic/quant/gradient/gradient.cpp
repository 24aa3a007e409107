#include "laconic/quant/gradient/gradient.h"

#include <ATen/ops/where.h>

#include "laconic/kernel/straight_through.h"

namespace laconic {

at::Tensor clamp_codes(const Clipped&, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max) {
  const auto below_top = at::where(code.gt(q_max), q_max, code);
  return at::where(below_top.lt(q_min), q_min, below_top);
}

at::Tensor clamp_codes(const StraightThrough&, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max) {
  return straight_through(code,
                          clamp_codes(Clipped{}, code.detach(), q_min.detach(), q_max.detach()));
}

at::Tensor clamp_codes(const CustomGradient& kind, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max) {
  return kind.function(kind.parameters, code, q_min, q_max);
}

at::Tensor apply_clamp(const Gradient& gradient, const at::Tensor& code, const at::Tensor& q_min,
                       const at::Tensor& q_max) {
  return std::visit([&](const auto& kind) { return clamp_codes(kind, code, q_min, q_max); },
                    gradient);
}

}  // namespace laconic
