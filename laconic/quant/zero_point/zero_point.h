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

/// Where the range of a zero point begins: a real number <= 0 of the elements of one scale.

/// As the scale's statistic says: the smallest element, of percentiles the lower one; after a
/// search of the scale a like search.
struct OfStatistic {
  static constexpr std::string_view kName = "of_statistic";
  bool operator==(const OfStatistic&) const = default;
};

/// min(smallest, 0)
struct Smallest {
  static constexpr std::string_view kName = "smallest";
  bool operator==(const Smallest&) const = default;
};

/// min(k-th smallest, 0), k = ceil(0.01 q n).
struct LowPercentile {
  static constexpr std::string_view kName = "low_percentile";
  double q = 0.001;
  bool operator==(const LowPercentile&) const = default;
};

/// The candidate between the smallest and 1 / grid_points of it with the least squared error of the
/// whole quantizer, the scale being there.
struct MseMinimum {
  static constexpr std::string_view kName = "mse";
  int64_t grid_points = 20;
  bool operator==(const MseMinimum&) const = default;
};

/// Half-quadratic search with the scale being there (HQQ, 2023).
struct HalfQuadraticMinimum {
  static constexpr std::string_view kName = "hqo";
  int64_t iterations = 1000;
  double p = 0.5, beta = 1, kappa = 1.01;
  bool operator==(const HalfQuadraticMinimum&) const = default;
};

using Minimum =
    std::variant<OfStatistic, Smallest, LowPercentile, MseMinimum, HalfQuadraticMinimum>;

/// What becomes of that number.
enum class ZeroPointSource {
  kAsScale,    ///< learned where the scale is learned, an average where it is one, ...
  kStatistic,  ///< found anew for each tensor
  kLearned,    ///< a parameter that training moves; nn::Quantizer keeps it in real units
};

struct RangeStart {
  Minimum minimum = OfStatistic{};
  ZeroPointSource source = ZeroPointSource::kAsScale;
  bool operator==(const RangeStart&) const = default;
};

/// @throws c10::ValueError for a percentile outside 0..100 and the like.
void check_minimum(const Minimum& minimum);

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
