#include "laconic/quant/format/int.h"

#include <ATen/ops/pow.h>
#include <ATen/ops/zeros_like.h>

#include <numeric>

namespace laconic {

CodeBounds code_bounds(const IntFormat& format, const at::Tensor& bit_width) {
  const double narrow = format.narrow_range ? 1 : 0;
  if (format.is_signed) {
    const auto half = at::pow(2.0, bit_width - 1);
    return {-half + narrow, half - 1};
  }
  return {at::zeros_like(bit_width), at::pow(2.0, bit_width) - 1 - narrow};
}

void check_format_kind(const IntFormat& format) {
  TORCH_CHECK_VALUE(format.bit_width >= 1 && format.bit_width <= 16,
                    "[format] bit_width: expected 1 to 16, got ", format.bit_width,
                    ". Choose 2 to 8 for files.");
  const auto [low, high] = format_range(format);
  TORCH_CHECK_VALUE(low < high, "[format] bit_width ", format.bit_width,
                    format.narrow_range ? " with narrow_range" : "", " leaves ", high - low + 1,
                    " code; expected at least 2. Choose a larger bit_width.");
}

std::string describe_format(const IntFormat& format) {
  return std::string(format.is_signed ? "int" : "uint") + std::to_string(format.bit_width) +
         (format.narrow_range ? " narrow" : "");
}

int64_t format_bits(const IntFormat& format) { return format.bit_width; }

ElementRange format_range(const IntFormat& format) {
  const int64_t narrow = format.narrow_range ? 1 : 0, one = 1;
  const int64_t half = one << (format.bit_width - 1);
  const int64_t low = format.is_signed ? -half + narrow : 0;
  const int64_t high = format.is_signed ? half - 1 : 2 * half - 1 - narrow;
  return {static_cast<double>(low), static_cast<double>(high)};
}

std::vector<double> format_values(const IntFormat& format) {
  const auto [low, high] = format_range(format);
  std::vector<double> values(static_cast<size_t>(high - low) + 1);
  std::iota(values.begin(), values.end(), low);
  return values;
}

at::Tensor format_elements(const IntFormat&, const at::Tensor& real, const ElementRule& rule) {
  const auto code = apply_rounding(rule.rounding, real, rule.state);
  return apply_clamp(rule.gradient,
                     {code, rule.bounds.q_min, rule.bounds.q_max, real, rule.zero_point});
}

at::Tensor format_codes(const IntFormat& format, const at::Tensor& elements) {
  if (format.bit_width > 8) return elements.to(c10::ScalarType::Int);
  return elements.to(format.is_signed ? c10::ScalarType::Char : c10::ScalarType::Byte);
}

}  // namespace laconic
