#pragma once

#include <ATen/core/ATen_fwd.h>

#include <string_view>
#include <variant>

#include "laconic/base/boxed.h"
#include "laconic/quant/custom/custom.h"
#include "laconic/quant/format/format.h"
#include "laconic/quant/gradient/gradient.h"
#include "laconic/quant/rounding/rounding.h"

namespace laconic {

struct QuantSpec;

/// Symmetric.
struct NoZeroPoint {
  static constexpr std::string_view kName = "none";
  bool operator==(const NoZeroPoint&) const = default;
};

/// clamp(round(-min(x, 0) / scale + q_min)) in the code range, with the quantizer's rounding: zero
/// maps to a code exactly.
struct IntegerZeroPoint {
  static constexpr std::string_view kName = "integer";
  bool operator==(const IntegerZeroPoint&) const = default;
};

/// -min(x, 0) / scale + q_min, not rounded.
struct FloatZeroPoint {
  static constexpr std::string_view kName = "float";
  bool operator==(const FloatZeroPoint&) const = default;
};

/// As FloatZeroPoint, such that -scale * zero_point is a float16 (GGUF's Q4_1 and Q5_1 store that
/// product): the dequantized value is scale * code + minimum with both numbers as stored.
struct StoredMinimum {
  static constexpr std::string_view kName = "stored_minimum";
  bool operator==(const StoredMinimum&) const = default;
};

/// As FloatZeroPoint, such that -scale * zero_point is minus a number that another quantizer gives
/// for -minimum >= 0 (the minima of GGUF's super-blocks); it sees them as QuantizedBy sees scales.
/// The quantizer/ folder applies it.
struct QuantizedMinimum {
  static constexpr std::string_view kName = "quantized_minimum";
  Boxed<QuantSpec> quantizer = {};
  bool operator==(const QuantizedMinimum&) const = default;
};

/// A zero point of a user's own, in codes: from the smallest value of each scale's elements (<= 0,
/// real units) and the scale, by operations that have a gradient. Shapes broadcast.
struct ZeroPointKind {
  static constexpr std::string_view kWord = "zero_point";
  using Function = at::Tensor(const CustomParameters& parameters, const at::Tensor& minimum,
                              const at::Tensor& scale, const CodeBounds& bounds);
};
using CustomZeroPoint = Custom<ZeroPointKind>;

using ZeroPoint = std::variant<NoZeroPoint, IntegerZeroPoint, FloatZeroPoint, StoredMinimum,
                               QuantizedMinimum, CustomZeroPoint>;

/// How a whole zero point is found: as the quantizer finds its codes.
struct ZeroPointCode {
  Rounding rounding = HalfEven{};
  Gradient gradient = Clipped{};
};

/// Zero point in codes from the smallest value of each scale's elements (<= 0); undefined for
/// NoZeroPoint. Gradient reaches `minimum` and `scale`.
at::Tensor zero_point_of_minimum(const ZeroPoint& zero_point, const at::Tensor& minimum,
                                 const at::Tensor& scale, const CodeBounds& bounds,
                                 const ZeroPointCode& code = {});

}  // namespace laconic
