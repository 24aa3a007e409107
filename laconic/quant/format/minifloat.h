#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/quant/format/element.h"

namespace laconic {

/// Which codes are no numbers.
enum class FloatSpecials {
  kNone,          ///< every code is a number
  kNan,           ///< all ones but the sign: NaN (OCP e4m3, e8m0)
  kIeee,          ///< the top exponent: infinity with mantissa 0, else NaN (OCP e5m2)
  kNegativeZero,  ///< the code of -0 is the one NaN; zero has no sign (FNUZ)
};

/// Floats of few bits: sign, exponent, mantissa, from the top bit down.
/// Ties of half_even go to the even mantissa, and where it has no bits to the larger number.
/// (-1)^s * 2^(E - bias) * (1 + M / 2^m); exponent field 0: (-1)^s * 2^(1 - bias) * M / 2^m.
/// The gradient knows that the step grows with the number: it is element / number for normal ones
/// (where the bare straight-through estimator has 1), 1 for subnormal ones.
struct MinifloatFormat {
  static constexpr std::string_view kName = "minifloat";
  int64_t exponent_bits = 4;                  ///< 1 to 8
  int64_t mantissa_bits = 3;                  ///< 0 to 14
  std::optional<int64_t> exponent_bias = {};  ///< none: 2^(e-1) - 1
  FloatSpecials specials = FloatSpecials::kNone;
  bool saturating = true;  ///< what is too large becomes the largest number; else infinity or NaN
                           ///< (NaN too what is too small for an unsigned one)
  bool is_signed = true;
  bool subnormals = true;  ///< else exponent field 0 is as the others: there is no zero
  bool operator==(const MinifloatFormat&) const = default;
};

// Of the OCP specification (MX 1.0, OFP8).
MinifloatFormat e4m3();
MinifloatFormat e5m2();
MinifloatFormat e3m2();
MinifloatFormat e2m3();
MinifloatFormat e2m1();
/// Powers of two from 2^-127 to 2^127, and NaN: scales.
MinifloatFormat e8m0();
// Without infinities, -0 and with one NaN.
MinifloatFormat e4m3_fnuz();
MinifloatFormat e5m2_fnuz();

/// What rounding needs to know of a minifloat, as plain numbers.
struct MinifloatLimits {
  int64_t bias;
  int64_t lowest_exponent;  ///< of the smallest step: 2^(lowest_exponent - mantissa_bits)
  double largest;           ///< largest number
  double smallest;          ///< smallest number over 0
};
MinifloatLimits limits(const MinifloatFormat& format);

/// Largest number for a mantissa of `mantissa_bits` bits, a floating 0-dim tensor that may be
/// fractional (learned) and gets a gradient; smallest: 0, or minus the largest when signed.
CodeBounds code_bounds(const MinifloatFormat& format, const at::Tensor& mantissa_bits);

/// As format_elements, with a step that follows learned mantissa bits and gives them a gradient.
at::Tensor format_elements(const MinifloatFormat& format, const at::Tensor& real,
                           const ElementRule& rule, const at::Tensor& mantissa_bits);

// The functions of a format: see format.h.
void check_format_kind(const MinifloatFormat& format);
std::string describe_format(const MinifloatFormat& format);
int64_t format_bits(const MinifloatFormat& format);
ElementRange format_range(const MinifloatFormat& format);
std::vector<double> format_values(const MinifloatFormat& format);
at::Tensor format_elements(const MinifloatFormat& format, const at::Tensor& real,
                           const ElementRule& rule);
at::Tensor format_codes(const MinifloatFormat& format, const at::Tensor& elements);

}  // namespace laconic
