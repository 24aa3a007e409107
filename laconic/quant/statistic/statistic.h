#pragma once

#include <ATen/core/ATen_fwd.h>

#include <cstdint>
#include <string_view>
#include <variant>

#include "laconic/quant/custom/custom.h"

namespace laconic {

/// max |x|
struct AbsMax {
  static constexpr std::string_view kName = "absmax";
  bool operator==(const AbsMax&) const = default;
};

/// Minus the signed element of largest magnitude, so that it maps to the most negative code. The
/// scale may be negative.
struct SignedAbsMax {
  static constexpr std::string_view kName = "signed_absmax";
  bool operator==(const SignedAbsMax&) const = default;
};

/// max(max, 0) - min(min, 0): the range of an asymmetric quantizer, in which zero lies. Without
/// zero max - min(min, 0): tighter where all numbers are negative, but an integer zero point cannot
/// lie outside of the codes and then loses the range.
struct MinMax {
  static constexpr std::string_view kName = "min_max";
  bool include_zero = true;
  bool operator==(const MinMax&) const = default;
};

/// k-th smallest |x|, k = floor(0.01 q n + 0.5).
struct Percentile {
  static constexpr std::string_view kName = "percentile";
  double q = 99.999;
  bool operator==(const Percentile&) const = default;
};

/// max(k-th smallest, 0) minus min(j-th smallest, 0), for the two percentiles: an asymmetric range
/// without outliers.
struct PercentileInterval {
  static constexpr std::string_view kName = "percentile_interval";
  double low = 0.001, high = 99.999;
  bool operator==(const PercentileInterval&) const = default;
};

/// mean |x|
struct AbsAverage {
  static constexpr std::string_view kName = "abs_average";
  bool operator==(const AbsAverage&) const = default;
};

/// Mean over the channels (axis 0) of the channel's max |x|; per tensor only.
struct AbsMaxAverage {
  static constexpr std::string_view kName = "absmax_average";
  bool operator==(const AbsMaxAverage&) const = default;
};

/// mean |x| + sigma * sqrt(var |x| + 1e-8), unbiased variance.
struct MeanSigma {
  static constexpr std::string_view kName = "mean_sigma_std";
  double sigma = 2.0;
  bool operator==(const MeanSigma&) const = default;
};

/// Search over k / grid_points of the full range (absmax, or min-max with a zero point), k = 1 ...
/// grid_points, for the least squared error of the whole quantizer, weighted by importance when one
/// is given; the zero point is searched after the scale, likewise.
struct Mse {
  static constexpr std::string_view kName = "mse";
  int64_t grid_points = 20;
  bool operator==(const Mse&) const = default;
};

/// Half-quadratic search: least |error|^p by alternating shrinkage and closed form (HQQ, 2023).
struct HalfQuadratic {
  static constexpr std::string_view kName = "hqo";
  int64_t iterations = 1000;
  double p = 0.7, beta = 1e5, kappa = 1.01;
  bool operator==(const HalfQuadratic&) const = default;
};

/// A statistic of a user's own: rows [scales, n], n > 0 -> [scales], real units, by operations that
/// have a gradient.
struct StatisticKind {
  static constexpr std::string_view kWord = "statistic";
  using Function = at::Tensor(const CustomParameters& parameters, const at::Tensor& rows);
};
using CustomStatistic = Custom<StatisticKind>;

using Statistic =
    std::variant<AbsMax, SignedAbsMax, MinMax, Percentile, PercentileInterval, AbsAverage,
                 AbsMaxAverage, MeanSigma, Mse, HalfQuadratic, CustomStatistic>;

/// True for statistics that run the whole quantizer for their candidates (quantizer/search.h).
constexpr bool is_search(const Mse&) { return true; }
constexpr bool is_search(const HalfQuadratic&) { return true; }
constexpr bool is_search(const auto&) { return false; }

/// The statistic of each row of `rows` [scales, n], n > 0 -> [scales], with gradient. `x`: the
/// whole tensor in its own shape, which AbsMaxAverage needs. Searches are not answered here (an
/// assertion).
at::Tensor row_statistic(const Statistic& statistic, const at::Tensor& rows, const at::Tensor& x);

/// min(smallest, 0) of each row: where an asymmetric range begins.
at::Tensor row_minimum(const Statistic& statistic, const at::Tensor& rows);

/// @throws c10::ValueError for a percentile outside 0..100, fewer than 2 grid points, and the like.
void check_statistic(const Statistic& statistic);

}  // namespace laconic
