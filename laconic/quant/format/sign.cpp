#include "laconic/quant/format/sign.h"

#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

at::Tensor clamped(const at::Tensor& real, const ElementRule& rule) {
  return apply_clamp(rule.gradient, real, rule.bounds.q_min, rule.bounds.q_max);
}

}  // namespace

void check_format_kind(const BinaryFormat&) {}

void check_format_kind(const TernaryFormat& format) {
  TORCH_CHECK_VALUE(format.threshold > 0 && format.threshold < 1,
                    "[format] ternary_threshold: expected more than 0 and less than 1, got ",
                    format.threshold, ".");
}

std::string describe_format(const BinaryFormat&) { return "binary"; }
std::string describe_format(const TernaryFormat& format) {
  std::string text = std::to_string(format.threshold);
  text.erase(text.find_last_not_of('0') + 1);
  return "ternary over " + text;
}

std::vector<double> format_values(const BinaryFormat&) { return {-1, 1}; }
std::vector<double> format_values(const TernaryFormat&) { return {-1, 0, 1}; }

at::Tensor format_elements(const BinaryFormat&, const at::Tensor& real, const ElementRule& rule) {
  const auto plain = real.detach(), one = at::ones_like(plain);
  const auto sign = at::where(plain.ge(0), one, one.neg());
  return straight_through(clamped(real, rule), at::where(plain.isnan(), plain, sign));
}

at::Tensor format_elements(const TernaryFormat& format, const at::Tensor& real,
                           const ElementRule& rule) {
  const auto plain = real.detach();
  // NaN is not below: it stays, and so does its sign.
  const auto element =
      at::where(plain.abs().le(format.threshold), at::zeros_like(plain), plain.sign());
  const auto value = at::where(plain.isnan(), plain, element);
  const auto inside = clamped(real, rule);
  if (!std::holds_alternative<Clipped>(rule.gradient)) return straight_through(inside, value);
  return straight_through(inside * element.abs(), value);
}

}  // namespace laconic
