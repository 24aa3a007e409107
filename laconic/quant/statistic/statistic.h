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

/// Mean over the channels (the indices of `axis`) of the channel's max |x|; per tensor only.
struct AbsMaxAverage {
  static constexpr std::string_view kName = "absmax_average";
  int64_t axis = 0;
  bool operator==(const AbsMaxAverage&) const = default;
};

/// Root mean square over the channels of the channel's max |x|; per tensor only.
struct AbsMaxL2 {
  static constexpr std::string_view kName = "absmax_l2";
  int64_t axis = 0;
  bool operator==(const AbsMaxL2&) const = default;
};

/// mean |x| + sigma * sqrt(var |x| + 1e-8), unbiased variance (0 for a single element).
struct MeanSigma {
  static constexpr std::string_view kName = "mean_sigma_std";
  double sigma = 2.0;
  bool operator==(const MeanSigma&) const = default;
};

/// sum |x|
struct L1Norm {
  static constexpr std::string_view kName = "l1_norm";
  bool operator==(const L1Norm&) const = default;
};

/// sqrt(sum x^2)
struct L2Norm {
  static constexpr std::string_view kName = "l2_norm";
  bool operator==(const L2Norm&) const = default;
};

/// sqrt(2 / fan-in), fan-in the elements of one index of axis 0: the spread of a layer's first
/// weights (He et al. 2015, arXiv:1502.01852). Looks at the shape alone.
struct HeSpread {
  static constexpr std::string_view kName = "he";
  bool operator==(const HeSpread&) const = default;
};

/// A range that is given, real units, whatever the numbers are.
struct GivenRange {
  static constexpr std::string_view kName = "given";
  double range = 1.0;
  bool operator==(const GivenRange&) const = default;
};

enum class SearchMethod {
  kGrid,           ///< k / grid_points of the full range, k = 1 ... grid_points; first of equals
  kGoldenSection,  ///< grid_points evaluations that narrow the same interval by the golden ratio
};

/// Search from 1 / grid_points of the full range (absmax, or min-max with a zero point) to the
/// whole for the least squared error of the whole quantizer, weighted by importance when one is
/// given. Of a scale that may be negative both signs are searched, each with half of the points.
struct Mse {
  static constexpr std::string_view kName = "mse";
  int64_t grid_points = 20;
  SearchMethod method = SearchMethod::kGrid;
  bool operator==(const Mse&) const = default;
};

/// The clipping threshold whose histogram of codes has the least Kullback-Leibler divergence from
/// the histogram of the numbers (`bins` equal bins over [-absmax, absmax], an odd number). No
/// gradient.
struct KlDivergence {
  static constexpr std::string_view kName = "kl";
  int64_t bins = 1001;
  double smoothing = 1e-4;
  bool operator==(const KlDivergence&) const = default;
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
                 AbsMaxAverage, AbsMaxL2, MeanSigma, L1Norm, L2Norm, HeSpread, GivenRange, Mse,
                 KlDivergence, HalfQuadratic, CustomStatistic>;

/// True for statistics that run the whole quantizer for their candidates (quantizer/search.h).
constexpr bool is_search(const Mse&) { return true; }
constexpr bool is_search(const KlDivergence&) { return true; }
constexpr bool is_search(const HalfQuadratic&) { return true; }
constexpr bool is_search(const auto&) { return false; }

/// The statistic of each row of `rows` [scales, n], n > 0 -> [scales], with gradient. `x`: the
/// whole tensor in its own shape, which AbsMaxAverage, AbsMaxL2 and HeSpread need. Searches are not
/// answered here (an assertion).
at::Tensor row_statistic(const Statistic& statistic, const at::Tensor& rows, const at::Tensor& x);

/// mean |x| + sigma * sqrt(var |x| + 1e-8) of each row: [scales]; `sigma`, [] or [scales], gets a
/// gradient too.
at::Tensor mean_sigma(const at::Tensor& rows, const at::Tensor& sigma);

/// min(smallest, 0) of each row: where an asymmetric range begins. Of percentiles the lower one.
at::Tensor row_minimum(const Statistic& statistic, const at::Tensor& rows);

/// @throws c10::ValueError for a percentile outside 0..100, fewer than 2 grid points, and the like.
void check_statistic(const Statistic& statistic);

}  // namespace laconic
