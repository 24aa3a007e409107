#include "laconic/quant/zero_point/zero_point.h"

#include <ATen/core/Tensor.h>

#include "laconic/base/variant.h"
#include "laconic/quant/gradient/gradient.h"

namespace laconic {

at::Tensor zero_point_of_minimum(const ZeroPoint& zero_point, const at::Tensor& minimum,
                                 const at::Tensor& scale, const CodeBounds& bounds,
                                 const ZeroPointCode& code) {
  return std::visit(
      Overloaded{[](const NoZeroPoint&) { return at::Tensor(); },
                 [&](const IntegerZeroPoint&) {
                   const auto whole =
                       apply_rounding(code.rounding, minimum.neg() / scale + bounds.q_min);
                   return apply_clamp(code.gradient, whole, bounds.q_min, bounds.q_max);
                 },
                 [&](const FloatZeroPoint&) { return minimum.neg() / scale + bounds.q_min; },
                 [&](const QuantizedMinimum&) { return minimum.neg() / scale + bounds.q_min; },
                 [&](const StoredMinimum&) {
                   const auto stored = minimum.to(c10::ScalarType::Half).to(scale.scalar_type());
                   return stored.neg() / scale + bounds.q_min;
                 },
                 [&](const CustomZeroPoint& kind) {
                   return kind.function(kind.parameters, minimum, scale, bounds);
                 }},
      zero_point);
}

}  // namespace laconic
