#include "laconic/quant/scale/scale.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/pow.h>

#include <algorithm>
#include <cmath>

#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

double power_below(double number) { return std::ldexp(1.0, std::ilogb(number)); }

}  // namespace

at::Tensor threshold_code(Threshold threshold, const CodeBounds& bounds, const IntFormat& format,
                          const at::Tensor& bit_width) {
  switch (threshold) {
    case Threshold::kLargestCode:
      return bounds.q_max;
    case Threshold::kFullRange:
      return format.is_signed ? bounds.q_min.neg() : bounds.q_max;
    case Threshold::kPowerOfTwo:
      return at::pow(2.0, format.is_signed ? bit_width - 1 : bit_width);
    case Threshold::kCodeCount:
      return bounds.q_max - bounds.q_min;
    case Threshold::kLargestPower:
      return at::pow(2.0, bounds.q_max.log2().floor());
  }
  TORCH_CHECK_VALUE(false, "[scale] unknown threshold ", static_cast<int>(threshold), ".");
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

std::optional<StatisticScale> statistic_of(const Scale& scale) {
  return std::visit(
      [](const auto& kind) -> std::optional<StatisticScale> {
        if constexpr (has_statistic<decltype(kind)>) {
          return StatisticScale{kind.statistic, kind.restriction, kind.minimum, kind.threshold};
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

at::Tensor scale_of_statistic(const StatisticScale& scale, const at::Tensor& statistic,
                              const at::Tensor& threshold) {
  const auto range = restrict_statistic(scale.restriction, at_least(statistic, scale.minimum));
  return restrict_final(scale.restriction, range / threshold);
}

}  // namespace laconic
