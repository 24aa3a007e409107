#pragma once

#include <ATen/core/ATen_fwd.h>

#include <optional>
#include <string_view>
#include <type_traits>
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

/// A learned factor (and summand) between the statistic and its restriction; nn::Quantizer keeps
/// them.
enum class Affine {
  kNone,
  kFactor,           ///< statistic * w
  kFactorAndOffset,  ///< statistic * w + b, b from 0 on
};

/// How the numbers of one scale become it:
/// scale = restriction(max(statistic(x), minimum)) / threshold.
struct ScaleRule {
  Statistic statistic = AbsMax{};
  Restriction restriction = AnyFloat{};
  double minimum = 1e-10;  ///< the statistic is at least this, real units
  Threshold threshold = Threshold::kLargestCode;
  Affine affine = Affine::kNone;
  double factor = 1.0;  ///< w to begin with
  bool operator==(const ScaleRule&) const = default;
};

/// Found anew for each tensor, with gradient: weights, dynamic activations.
struct StatisticScale : ScaleRule {
  static constexpr std::string_view kName = "statistic";
  bool operator==(const StatisticScale&) const = default;
};

/// Found once, over calibration data (quantizer/running.h), and fixed from then on: static
/// activations. One for the whole tensor, or one a channel of the last axis.
struct StaticScale : ScaleRule {
  static constexpr std::string_view kName = "static";
  bool operator==(const StaticScale&) const = default;
};

/// While training the statistic of each batch, and of the running average from then on; the first
/// batch is the average to begin with: batch normalisation's way.
struct RunningScale : ScaleRule {
  static constexpr std::string_view kName = "running";
  double momentum = 0.1;  ///< of a new batch in the average; 0: the mean of all batches
  bool operator==(const RunningScale&) const = default;
};

/// A parameter that training moves, in the domain of its restriction (nn::Quantizer). It begins at
/// the statistic of the first tensor, or at the running average of the first `collect_steps`
/// training batches, which are themselves quantized with their own statistic, unrestricted.
struct LearnedScale : ScaleRule {
  static constexpr std::string_view kName = "learned";
  int64_t collect_steps = 0;
  double momentum = 0.1;  ///< as RunningScale's
  bool operator==(const LearnedScale&) const = default;
};

/// Two scales: codes are found with the scale of the tensor at hand, values are made with a learned
/// one that begins at the same statistic.
struct DecoupledScale : ScaleRule {
  static constexpr std::string_view kName = "decoupled";
  bool operator==(const DecoupledScale&) const = default;
};

/// Weight normalisation: codes are those of g w / (s |w|), |w| the norm of all elements of a scale;
/// g (the norm) and s (the scale, as its logarithm to base 2) are learned. s begins at
/// max|w| / q_max.
/// Paper: A2Q, Colbert et al. 2023, arXiv:2308.13504.
struct WeightNormScale {
  static constexpr std::string_view kName = "weight_norm";
  double minimum = 1e-10;  ///< of the norm and the scale, real units
  bool operator==(const WeightNormScale&) const = default;
};

/// Weight normalisation in the l1 norm, g learned as a logarithm too, whose g / s is bounded such
/// that an accumulator of so many bits never overflows, whatever the inputs and the order of the
/// sum. With `zero_centered` the weights of each scale are centred first, which allows a larger
/// bound. Papers: A2Q, arXiv:2308.13504; A2Q+, Colbert et al. 2024, arXiv:2401.10432.
struct AccumulatorScale {
  static constexpr std::string_view kName = "accumulator";
  int64_t accumulator_bits = 32;
  int64_t input_bits = 8;
  bool input_signed = true;
  bool zero_centered = false;
  double minimum = 1e-10;
  bool operator==(const AccumulatorScale&) const = default;
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

using Scale = std::variant<StatisticScale, StaticScale, RunningScale, LearnedScale, DecoupledScale,
                           WeightNormScale, AccumulatorScale, ConstantScale, CustomScale>;

/// True for the scales that are made by a ScaleRule.
template <typename Kind>
inline constexpr bool has_statistic = std::is_base_of_v<ScaleRule, std::remove_cvref_t<Kind>>;

/// The rule of a scale; nothing for norms, a constant and a rule of a user's own.
std::optional<ScaleRule> statistic_of(const Scale& scale);

/// The number of codes that the statistic spans. `bounds` may carry the gradient of a learned bit
/// width.
at::Tensor threshold_code(Threshold threshold, const CodeBounds& bounds, const IntFormat& format,
                          const at::Tensor& bit_width);
/// The same of minifloats with learned mantissa bits.
at::Tensor threshold_code(Threshold threshold, const CodeBounds& bounds);
/// Of a format: q_min and q_max stand for its smallest and largest element.
double threshold_code(Threshold threshold, const Format& format);

/// Magnitude of at least `minimum`, sign kept (0 counts as positive); the gradient passes straight
/// through.
at::Tensor at_least(const at::Tensor& statistic, double minimum);

/// The scale of a statistic: restricted, divided by the threshold. Shapes broadcast.
at::Tensor scale_of_statistic(const ScaleRule& rule, const at::Tensor& statistic,
                              const at::Tensor& threshold);

/// The statistic in the domain in which it is learned, at least the minimum.
at::Tensor stored_statistic(const ScaleRule& rule, const at::Tensor& statistic);
/// Back, as a scale: restricted, at least the minimum, divided by the threshold.
at::Tensor scale_of_stored(const ScaleRule& rule, const at::Tensor& stored,
                           const at::Tensor& threshold);

}  // namespace laconic
