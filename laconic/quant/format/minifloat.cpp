#include "laconic/quant/format/minifloat.h"

#include <ATen/ops/exp2.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <limits>

#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

using c10::ScalarType;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// A largest number: exponent and mantissa, without its sign.
struct Top {
  int64_t field, mantissa;
};

Top top_of(const MinifloatFormat& format) {
  const int64_t ones = (int64_t{1} << format.exponent_bits) - 1;
  const int64_t full = (int64_t{1} << format.mantissa_bits) - 1;
  switch (format.specials) {
    case FloatSpecials::kNone:
    case FloatSpecials::kNegativeZero:
      return {ones, full};
    case FloatSpecials::kNan:
      return full > 0 ? Top{ones, full - 1} : Top{ones - 1, full};
    case FloatSpecials::kIeee:
      return {ones - 1, full};
  }
  TORCH_CHECK_VALUE(false, "[format] unknown specials ", static_cast<int>(format.specials), ".");
}

int64_t bias_of(const MinifloatFormat& format) {
  return format.exponent_bias.value_or((int64_t{1} << (format.exponent_bits - 1)) - 1);
}

double power(int64_t exponent) { return std::ldexp(1.0, static_cast<int>(exponent)); }

double number(const MinifloatFormat& format, int64_t field, int64_t mantissa) {
  const bool normal = field > 0 || !format.subnormals;
  const int64_t units = mantissa + (normal ? int64_t{1} << format.mantissa_bits : 0);
  return static_cast<double>(units) *
         power((normal ? field : 1) - bias_of(format) - format.mantissa_bits);
}

/// floor(log2 |x|), at least that of the format's smallest step. int64.
at::Tensor exponents(const MinifloatFormat& format, const at::Tensor& x) {
  constexpr int64_t kExponentMask = 0x7ff, kLargest = 127;  // of float32; infinity has one more
  const auto bits = x.detach().to(ScalarType::Double).contiguous().view(ScalarType::Long);
  const auto field = bits.bitwise_right_shift(52).bitwise_and(kExponentMask);
  return (field - 1023).clamp(limits(format).lowest_exponent, kLargest);
}

/// 2^exponent exactly, float64.
at::Tensor powers(const at::Tensor& exponent) {
  return (exponent + 1023).bitwise_left_shift(52).view(ScalarType::Double);
}

// What is too large, and negative numbers and zero where the format has none, by its choice.
at::Tensor clamped(const MinifloatFormat& format, const at::Tensor& real, const at::Tensor& rounded,
                   const ElementRule& rule) {
  auto inside = apply_clamp(rule.gradient,
                            {rounded, rule.bounds.q_min, rule.bounds.q_max, real, rule.zero_point});
  if (!format.is_signed || format.specials == FloatSpecials::kNegativeZero)
    inside = inside + 0;  // -0 becomes 0
  if (format.saturating) return inside;
  const auto plain = rounded.detach(), top = rule.bounds.q_max.detach();
  const bool infinite = format.specials == FloatSpecials::kIeee;
  const auto special = at::full_like(plain, infinite ? kInfinity : kNaN);
  const auto high_or_inside = at::where(plain.gt(top), special, inside);
  if (format.is_signed) return at::where(plain.lt(-top), -special, high_or_inside);
  const auto below = format.subnormals ? plain.lt(0) : real.detach().le(0);
  return at::where(below, at::full_like(plain, kNaN), high_or_inside);
}

// 2^exponent, which above the subnormals grows with the number: the gradient of 2^(log2 |x|)
// through a floor that passes it straight, so that the element's is element / x.
at::Tensor growing(const MinifloatFormat& format, const at::Tensor& exponent, const at::Tensor& x) {
  const auto power = powers(exponent).to(x.scalar_type());
  if (!x.requires_grad()) return power;
  const auto plain = x.detach();
  const auto grows =
      plain.abs().ge(std::ldexp(1.0, limits(format).lowest_exponent)).logical_and(plain.isfinite());
  const auto log = at::where(grows, x, at::ones_like(plain)).abs().log2();
  const auto graded = at::pow(2.0, straight_through(log, exponent.to(x.scalar_type())));
  return power + (graded - graded.detach());
}

at::Tensor elements_with_step(const MinifloatFormat& format, const at::Tensor& real,
                              const ElementRule& rule, const at::Tensor& mantissa_step) {
  // Gradients lose their digits in steps near the smallest float32.
  const bool wide = limits(format).lowest_exponent - format.mantissa_bits < -100;
  const auto x = wide ? real.to(ScalarType::Double) : real;
  const auto step = growing(format, exponents(format, real), x) * mantissa_step;
  const auto rounded = apply_rounding(rule.rounding, x / step, rule.state) * step;
  return clamped(format, real, rounded.to(real.scalar_type()), rule);
}

int64_t nan_code(const MinifloatFormat& format) {
  const int64_t magnitude_bits = format.exponent_bits + format.mantissa_bits;
  if (format.specials == FloatSpecials::kNegativeZero) return int64_t{1} << magnitude_bits;
  const int64_t ones = (int64_t{1} << magnitude_bits) - 1;
  if (format.specials != FloatSpecials::kIeee) return ones;
  return ones ^ ((int64_t{1} << (format.mantissa_bits - 1)) - 1);  // the quiet one
}

int64_t infinity_code(const MinifloatFormat& format) {
  return ((int64_t{1} << format.exponent_bits) - 1) << format.mantissa_bits;
}

double value_of_magnitude(const MinifloatFormat& format, int64_t code) {
  const int64_t field = code >> format.mantissa_bits;
  const int64_t mantissa = code & ((int64_t{1} << format.mantissa_bits) - 1);
  const Top top = top_of(format);
  const bool is_number = field < top.field || (field == top.field && mantissa <= top.mantissa);
  if (is_number) return number(format, field, mantissa);
  return format.specials == FloatSpecials::kIeee && mantissa == 0 ? kInfinity : kNaN;
}

bool has_nan(const MinifloatFormat& format) { return format.specials != FloatSpecials::kNone; }

void check_specials(const MinifloatFormat& format) {
  const bool ieee = format.specials == FloatSpecials::kIeee;
  TORCH_CHECK_VALUE(!ieee || (format.exponent_bits >= 2 && format.mantissa_bits >= 1),
                    "[format] specials ieee contradicts exponent_bits ", format.exponent_bits,
                    " and mantissa_bits ", format.mantissa_bits,
                    ": infinity and NaN need 2 and 1 at least. Choose specials none or nan.");
  TORCH_CHECK_VALUE(format.saturating || has_nan(format),
                    "[format] saturating false contradicts specials none: there is neither "
                    "infinity nor NaN for what is too large. Choose one of them otherwise.");
  TORCH_CHECK_VALUE(format.is_signed || format.specials != FloatSpecials::kNegativeZero,
                    "[format] specials negative_zero contradicts signed false: there is no -0. "
                    "Choose specials nan or none.");
  TORCH_CHECK_VALUE(format.subnormals || !format.is_signed,
                    "[format] subnormals false contradicts signed true: between the two smallest "
                    "numbers there is no zero. Choose signed false.");
}

MinifloatFormat ocp(int64_t exponent_bits, int64_t mantissa_bits, FloatSpecials specials) {
  return {.exponent_bits = exponent_bits,
          .mantissa_bits = mantissa_bits,
          .exponent_bias = {},
          .specials = specials};
}

MinifloatFormat fnuz(int64_t exponent_bits, int64_t mantissa_bits) {
  auto format = ocp(exponent_bits, mantissa_bits, FloatSpecials::kNegativeZero);
  format.exponent_bias = int64_t{1} << (exponent_bits - 1);
  return format;
}

}  // namespace

MinifloatFormat e4m3() { return ocp(4, 3, FloatSpecials::kNan); }
MinifloatFormat e5m2() { return ocp(5, 2, FloatSpecials::kIeee); }
MinifloatFormat e3m2() { return ocp(3, 2, FloatSpecials::kNone); }
MinifloatFormat e2m3() { return ocp(2, 3, FloatSpecials::kNone); }
MinifloatFormat e2m1() { return ocp(2, 1, FloatSpecials::kNone); }
MinifloatFormat e8m0() {
  auto format = ocp(8, 0, FloatSpecials::kNan);
  format.is_signed = format.subnormals = false;
  return format;
}
MinifloatFormat e4m3_fnuz() { return fnuz(4, 3); }
MinifloatFormat e5m2_fnuz() { return fnuz(5, 2); }

MinifloatLimits limits(const MinifloatFormat& format) {
  const Top top = top_of(format);
  const int64_t bias = bias_of(format);
  const bool first_is_zero = format.subnormals && format.mantissa_bits > 0;
  const double smallest = format.subnormals
                              ? (first_is_zero ? number(format, 0, 1) : number(format, 1, 0))
                              : number(format, 0, 0);
  return {bias, (format.subnormals ? 1 : 0) - bias, number(format, top.field, top.mantissa),
          smallest};
}

CodeBounds code_bounds(const MinifloatFormat& format, const at::Tensor& mantissa_bits) {
  const auto step = at::exp2(-mantissa_bits);
  const int64_t reserved = format.specials == FloatSpecials::kNan ? 1 : 0;
  const auto full = 2.0 / step - (1 + reserved);
  // A fractional width has as many steps of mantissa as whole ones fit.
  const auto mantissa = straight_through(full, full.detach().round()) * step;
  const auto largest = mantissa * power(top_of(format).field - bias_of(format));
  return {format.is_signed ? -largest : at::zeros_like(largest), largest};
}

at::Tensor format_elements(const MinifloatFormat& format, const at::Tensor& real,
                           const ElementRule& rule, const at::Tensor& mantissa_bits) {
  return elements_with_step(format, real, rule, at::exp2(-mantissa_bits));
}

void check_format_kind(const MinifloatFormat& format) {
  const int64_t bits = format.exponent_bits + format.mantissa_bits + (format.is_signed ? 1 : 0);
  TORCH_CHECK_VALUE(format.exponent_bits >= 1 && format.exponent_bits <= 8,
                    "[format] exponent_bits: expected 1 to 8, got ", format.exponent_bits,
                    ". For no exponent choose format int.");
  TORCH_CHECK_VALUE(format.mantissa_bits >= 0 && bits <= 16,
                    "[format] mantissa_bits: expected 0 or more and at most 16 bits with sign and "
                    "exponent, got ",
                    format.mantissa_bits, " of ", bits, " bits.");
  check_specials(format);
  const int64_t bias = bias_of(format);
  TORCH_CHECK_VALUE(std::abs(bias) <= 512, "[format] exponent_bias: expected -512 to 512, got ",
                    bias, ".");
  const auto [low, high] = format_range(format);
  TORCH_CHECK_VALUE(low < high, "[format] exponent_bits ", format.exponent_bits,
                    " and mantissa_bits ", format.mantissa_bits,
                    " leave one number; expected two at least. Choose more bits.");
  const int64_t lowest = limits(format).lowest_exponent - format.mantissa_bits;
  TORCH_CHECK_VALUE(high <= std::numeric_limits<float>::max() && lowest >= -149,
                    "[format] exponent_bits ", format.exponent_bits, " and exponent_bias ", bias,
                    ": expected numbers that float32 holds, got steps from 2^", lowest, " up to ",
                    high, ". Choose another bias, or specials that take the top exponent.");
}

std::string describe_format(const MinifloatFormat& format) {
  std::string text = format.is_signed ? "" : "unsigned ";
  text += 'e' + std::to_string(format.exponent_bits) + 'm' + std::to_string(format.mantissa_bits);
  if (format.exponent_bias) text += " bias " + std::to_string(*format.exponent_bias);
  switch (format.specials) {
    case FloatSpecials::kNone:
      break;
    case FloatSpecials::kNan:
      text += " with nan";
      break;
    case FloatSpecials::kIeee:
      text += " with infinity";
      break;
    case FloatSpecials::kNegativeZero:
      text += " without -0";
      break;
  }
  return text + (format.saturating ? "" : " not saturating");
}

int64_t format_bits(const MinifloatFormat& format) {
  return format.exponent_bits + format.mantissa_bits + (format.is_signed ? 1 : 0);
}

ElementRange format_range(const MinifloatFormat& format) {
  const auto found = limits(format);
  if (format.is_signed) return {-found.largest, found.largest};
  return {format.subnormals ? 0 : found.smallest, found.largest};
}

std::vector<double> format_values(const MinifloatFormat& format) {
  const int64_t magnitudes = int64_t{1} << (format.exponent_bits + format.mantissa_bits);
  std::vector<double> values;
  for (int64_t code = 0; code < magnitudes; ++code)
    values.push_back(value_of_magnitude(format, code));
  if (!format.is_signed) return values;
  for (int64_t code = 0; code < magnitudes; ++code)
    values.push_back(-values[static_cast<size_t>(code)]);
  if (format.specials == FloatSpecials::kNegativeZero)
    values[static_cast<size_t>(nan_code(format))] = kNaN;
  return values;
}

at::Tensor format_elements(const MinifloatFormat& format, const at::Tensor& real,
                           const ElementRule& rule) {
  const auto step = at::full({}, power(-format.mantissa_bits), real.options().requires_grad(false));
  return elements_with_step(format, real, rule, step);
}

at::Tensor format_codes(const MinifloatFormat& format, const at::Tensor& elements) {
  const auto x = elements.detach().to(ScalarType::Double);
  const auto exponent = exponents(format, x);
  const auto units = x.abs() / (powers(exponent) * power(-format.mantissa_bits));
  const auto normal = units.nan_to_num(0, 0, 0).to(ScalarType::Long);
  auto code = (exponent + (bias_of(format) - 1)).bitwise_left_shift(format.mantissa_bits) + normal;
  code = at::where(x.isinf(), at::full_like(code, infinity_code(format)), code);
  const auto nan = x.isnan();
  TORCH_CHECK_VALUE(has_nan(format) || !nan.any().item<bool>(), "[format] ",
                    describe_format(format), ": expected numbers, got NaN, which it has no code ",
                    "for.");
  const bool one_nan = format.specials == FloatSpecials::kNegativeZero;
  code = at::where(nan, at::full_like(code, nan_code(format)), code);
  if (format.is_signed) {
    auto negative = x.signbit();
    // Where -0 is NaN's code, neither zero nor NaN has a sign.
    if (one_nan) negative = negative.logical_and(x.ne(0)).logical_and(nan.logical_not());
    code = code + negative.to(ScalarType::Long).bitwise_left_shift(format_bits(format) - 1);
  }
  return code.to(format_bits(format) > 8 ? ScalarType::Int : ScalarType::Byte);
}

}  // namespace laconic
