#include "laconic/quant/scale/scale.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/pow.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

double power_below(double number) { return std::ldexp(1.0, std::ilogb(number)); }

}  // namespace

at::Tensor threshold_code(Threshold threshold, const CodeBounds& bounds) {
  switch (threshold) {
    case Threshold::kLargestCode:
      return bounds.q_max;
    case Threshold::kFullRange:
      return bounds.q_max;  // the ends are alike, or the other one is 0
    case Threshold::kCodeCount:
      return bounds.q_max - bounds.q_min;
    case Threshold::kPowerOfTwo:
    case Threshold::kLargestPower:
      return at::pow(2.0, bounds.q_max.log2().floor());
  }
  TORCH_CHECK_VALUE(false, "[scale] unknown threshold ", static_cast<int>(threshold), ".");
}

at::Tensor threshold_code(Threshold threshold, const CodeBounds& bounds, const IntFormat& format,
                          const at::Tensor& bit_width) {
  if (threshold == Threshold::kFullRange)
    return format.is_signed ? bounds.q_min.neg() : bounds.q_max;
  if (threshold == Threshold::kPowerOfTwo)
    return at::pow(2.0, format.is_signed ? bit_width - 1 : bit_width);
  return threshold_code(threshold, bounds);
}

double threshold_code(Threshold threshold, const Format& format) {
  const auto [low, high] = element_range(format);
  const auto* whole = std::get_if<IntFormat>(&format);
  switch (threshold) {
    case Threshold::kLargestCode:
      return high;
    case Threshold::kFullRange:
      return std::max(-low, high);
    case Threshold::kPowerOfTwo:
      if (whole != nullptr)
        return std::ldexp(1.0, static_cast<int>(whole->bit_width) - (whole->is_signed ? 1 : 0));
      return power_below(high);
    case Threshold::kCodeCount:
      return high - low;
    case Threshold::kLargestPower:
      return power_below(high);
  }
  TORCH_CHECK_VALUE(false, "[scale] unknown threshold ", static_cast<int>(threshold), ".");
}

std::optional<ScaleRule> statistic_of(const Scale& scale) {
  return std::visit(
      [](const auto& kind) -> std::optional<ScaleRule> {
        if constexpr (has_statistic<decltype(kind)>) {
          return kind;
        } else {
          return std::nullopt;
        }
      },
      scale);
}

at::Tensor at_least(const at::Tensor& statistic, double minimum) {
  const auto plain = statistic.detach();
  const auto size = plain.abs().clamp_min(minimum);
  return straight_through(statistic, size.where(plain.ge(0), size.neg()));
}

namespace {

// What is left of the minimum where rounding goes below it: powers of two stay such.
at::Tensor above_zero(const ScaleRule& rule, const at::Tensor& range) {
  const bool is_power = std::holds_alternative<PowerOfTwo>(rule.restriction);
  const double least =
      is_power && rule.minimum > 0 ? std::exp2(std::floor(std::log2(rule.minimum))) : rule.minimum;
  return at_least(range, least);
}

// A range over a code so large that the quotient is too small for its dtype: the smallest normal
// number stands for 0, which would divide to NaN.
at::Tensor scale_of_range(const at::Tensor& range, const at::Tensor& threshold) {
  const auto scale = range / threshold;
  const auto plain = scale.detach();
  const double least = plain.scalar_type() == c10::ScalarType::Double
                           ? std::numeric_limits<double>::min()
                           : std::numeric_limits<float>::min();
  return straight_through(scale, plain.masked_fill(plain.eq(0), least));
}

}  // namespace

at::Tensor stored_statistic(const ScaleRule& rule, const at::Tensor& statistic) {
  return to_stored_domain(rule.restriction, at_least(statistic, rule.minimum));
}

at::Tensor scale_of_stored(const ScaleRule& rule, const at::Tensor& stored,
                           const at::Tensor& threshold) {
  const auto range = from_stored_domain(rule.restriction, stored);
  return restrict_final(rule.restriction, scale_of_range(above_zero(rule, range), threshold));
}

at::Tensor scale_of_statistic(const ScaleRule& rule, const at::Tensor& statistic,
                              const at::Tensor& threshold) {
  if (rule.affine != Affine::kNone)
    return scale_of_stored(rule, stored_statistic(rule, statistic) * rule.factor, threshold);
  const auto range = restrict_statistic(rule.restriction, at_least(statistic, rule.minimum));
  return restrict_final(rule.restriction, scale_of_range(above_zero(rule, range), threshold));
}

}  // namespace laconic
