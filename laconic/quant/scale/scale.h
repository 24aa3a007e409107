#pragma once

#include <ATen/core/ATen_fwd.h>

#include <optional>
#include <string_view>
#include <variant>

#include "laconic/quant/custom/custom.h"
#include "laconic/quant/format/format.h"
#include "laconic/quant/restriction/restriction.h"
#include "laconic/quant/statistic/statistic.h"

namespace laconic {

/// Which code the statistic is mapped to.
enum class Threshold {
  kLargestCode,   ///< q_max: nothing is clipped; signed 2^(b-1) - 1
  kFullRange,     ///< the larger of -q_min and q_max: all codes are used, and the largest value of
                  ///< the other sign may clip
  kPowerOfTwo,    ///< 2^(b-1) signed, 2^b unsigned: scales that are powers of two. Formats other
                  ///< than integers: as kLargestPower
  kCodeCount,     ///< q_max - q_min: asymmetric ranges
  kLargestPower,  ///< the largest power of two that is no more than q_max: the OCP rule of MX
};

/// scale = restriction(max(statistic(x), minimum)) / threshold; found anew for each tensor, with
/// gradient.
struct StatisticScale {
  static constexpr std::string_view kName = "statistic";
  Statistic statistic = AbsMax{};
  Restriction restriction = AnyFloat{};
  double minimum = 1e-10;  ///< the statistic is at least this, real units
  Threshold threshold = Threshold::kLargestCode;
  bool operator==(const StatisticScale&) const = default;
};

/// As StatisticScale, but found once, over calibration data (quantizer/running.h), and fixed from
/// then on: static activations. One for the whole tensor, or one a channel of the last axis.
struct StaticScale {
  static constexpr std::string_view kName = "static";
  Statistic statistic = AbsMax{};
  Restriction restriction = AnyFloat{};
  double minimum = 1e-10;
  Threshold threshold = Threshold::kLargestCode;
  bool operator==(const StaticScale&) const = default;
};

/// As StatisticScale, but kept as a parameter that training moves (nn/): the statistic only gives
/// its first value.
struct LearnedScale {
  static constexpr std::string_view kName = "learned";
  Statistic statistic = AbsMax{};
  Restriction restriction = AnyFloat{};
  double minimum = 1e-10;
  Threshold threshold = Threshold::kLargestCode;
  bool operator==(const LearnedScale&) const = default;
};

/// A fixed scale, real units a code.
struct ConstantScale {
  static constexpr std::string_view kName = "constant";
  double value = 1.0;
  bool operator==(const ConstantScale&) const = default;
};

/// A scale rule of a user's own: rows [scales, n], n > 0 -> [scales], real units a code, > 0, by
/// operations that have a gradient.
struct ScaleKind {
  static constexpr std::string_view kWord = "scale";
  using Function = at::Tensor(const CustomParameters& parameters, const at::Tensor& rows,
                              const CodeBounds& bounds);
};
using CustomScale = Custom<ScaleKind>;

using Scale = std::variant<StatisticScale, StaticScale, LearnedScale, ConstantScale, CustomScale>;

/// True for the scales that are made of a statistic, a restriction, a minimum and a threshold.
template <typename Kind>
inline constexpr bool has_statistic = requires(Kind kind) {
  kind.statistic;
};

/// Those four of a scale; nothing for a constant scale and a rule of a user's own.
std::optional<StatisticScale> statistic_of(const Scale& scale);

/// The number of codes that the statistic spans. `bounds` may carry the gradient of a learned bit
/// width.
at::Tensor threshold_code(Threshold threshold, const CodeBounds& bounds, const IntFormat& format,
                          const at::Tensor& bit_width);
/// Of a format: q_min and q_max stand for its smallest and largest element.
double threshold_code(Threshold threshold, const Format& format);

/// Magnitude of at least `minimum`, sign kept (0 counts as positive); the gradient passes straight
/// through.
at::Tensor at_least(const at::Tensor& statistic, double minimum);

/// The scale of a statistic: restricted, divided by the threshold. Shapes broadcast.
at::Tensor scale_of_statistic(const StatisticScale& scale, const at::Tensor& statistic,
                              const at::Tensor& threshold);

}  // namespace laconic
