#include "laconic/quant/zero_point/zero_point.h"

#include <ATen/core/Tensor.h>

#include "laconic/base/variant.h"
#include "laconic/quant/gradient/gradient.h"

namespace laconic {

void check_minimum(const Minimum& minimum) {
  if (const auto* low = std::get_if<LowPercentile>(&minimum)) {
    TORCH_CHECK_VALUE(low->q >= 0 && low->q <= 100,
                      "[LowPercentile] expected a percentile in [0, 100], got ", low->q, ".");
  }
  if (const auto* mse = std::get_if<MseMinimum>(&minimum)) {
    TORCH_CHECK_VALUE(mse->grid_points >= 2 && mse->grid_points <= 10000,
                      "[MseMinimum] grid_points: expected 2 to 10000, got ", mse->grid_points, ".");
  }
  if (const auto* hqo = std::get_if<HalfQuadraticMinimum>(&minimum)) {
    TORCH_CHECK_VALUE(
        hqo->iterations >= 1 && hqo->p > 0 && hqo->p <= 1 && hqo->beta > 0 && hqo->kappa >= 1,
        "[HalfQuadraticMinimum] expected iterations >= 1, 0 < p <= 1, beta > 0, kappa >= 1, got ",
        hqo->iterations, ", ", hqo->p, ", ", hqo->beta, ", ", hqo->kappa, ".");
  }
}

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
