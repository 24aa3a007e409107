#include "laconic/quant/statistic/statistic.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/full.h>
#include <ATen/ops/kthvalue.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/var.h>

#include <algorithm>
#include <cmath>

#include "laconic/base/assert.h"
#include "laconic/base/variant.h"

namespace laconic {
namespace {

at::Tensor kth(const at::Tensor& rows, double position) {
  const int64_t k = std::clamp<int64_t>(static_cast<int64_t>(position), 1, rows.size(1));
  return std::get<0>(at::kthvalue(rows, k, 1));
}

at::Tensor kth_at(const at::Tensor& rows, double q) {
  return kth(rows, std::floor(0.01 * q * rows.size(1) + 0.5));
}

at::Tensor value(const AbsMax&, const at::Tensor& rows, const at::Tensor&) {
  return rows.abs().amax(1);
}

at::Tensor value(const SignedAbsMax&, const at::Tensor& rows, const at::Tensor&) {
  const auto index = rows.abs().argmax(1, /*keepdim=*/true);
  return rows.gather(1, index).squeeze(1).neg();
}

at::Tensor value(const MinMax& kind, const at::Tensor& rows, const at::Tensor&) {
  const auto top = rows.amax(1);
  return ((kind.include_zero ? top.clamp_min(0) : top) - rows.amin(1).clamp_max(0)).abs();
}

at::Tensor value(const Percentile& kind, const at::Tensor& rows, const at::Tensor&) {
  return kth_at(rows.abs(), kind.q);
}

at::Tensor value(const PercentileInterval& kind, const at::Tensor& rows, const at::Tensor&) {
  const auto low = kth(rows, std::ceil(0.01 * kind.low * rows.size(1)));
  return (kth_at(rows, kind.high).clamp_min(0) - low.clamp_max(0)).abs();
}

// Sums in double, so that the order in which a device adds is not seen.
at::Tensor mean_of(const at::Tensor& x, int64_t axis) {
  return at::mean(x, axis, /*keepdim=*/false, at::kDouble).to(x.scalar_type());
}

at::Tensor value(const AbsAverage&, const at::Tensor& rows, const at::Tensor&) {
  return mean_of(rows.abs(), 1);
}

at::Tensor channel_maxima(std::string_view part, int64_t axis, const at::Tensor& rows,
                          const at::Tensor& x) {
  TORCH_CHECK_VALUE(rows.size(0) == 1, "[", part, "] expected one scale for the whole tensor, got ",
                    rows.size(0), " scales. Choose granularity tensor.");
  TORCH_CHECK_VALUE(axis >= -x.dim() && axis < x.dim(), "[", part, "] channel_axis ", axis,
                    ": expected an axis of shape ", x.sizes(), ".");
  const auto channels_first = x.movedim(axis, 0);
  return channels_first.reshape({channels_first.size(0), -1}).abs().amax(1);
}

at::Tensor value(const AbsMaxAverage& kind, const at::Tensor& rows, const at::Tensor& x) {
  const auto maxima = channel_maxima("AbsMaxAverage", kind.axis, rows, x);
  return mean_of(maxima, 0).reshape({1});
}

at::Tensor value(const AbsMaxL2& kind, const at::Tensor& rows, const at::Tensor& x) {
  const auto maxima = channel_maxima("AbsMaxL2", kind.axis, rows, x);
  const auto root = std::sqrt(static_cast<double>(maxima.numel()));
  return (maxima.to(at::kDouble).norm().to(maxima.scalar_type()) / root).reshape({1});
}

at::Tensor value(const MeanSigma& kind, const at::Tensor& rows, const at::Tensor&) {
  return mean_sigma(rows, at::full({}, kind.sigma, rows.options().requires_grad(false)));
}

at::Tensor value(const L1Norm&, const at::Tensor& rows, const at::Tensor&) {
  return rows.contiguous().norm(1, {1}, /*keepdim=*/false);
}

at::Tensor value(const L2Norm&, const at::Tensor& rows, const at::Tensor&) {
  return rows.contiguous().norm(2, {1}, /*keepdim=*/false);
}

at::Tensor value(const HeSpread&, const at::Tensor& rows, const at::Tensor& x) {
  const int64_t channels = x.dim() > 0 ? x.size(0) : 1;
  const double fan_in = static_cast<double>(x.numel()) / static_cast<double>(channels);
  return at::full({rows.size(0)}, std::sqrt(2 / fan_in), rows.options().requires_grad(false));
}

at::Tensor value(const GivenRange& kind, const at::Tensor& rows, const at::Tensor&) {
  return at::full({rows.size(0)}, kind.range, rows.options().requires_grad(false));
}

at::Tensor value(const CustomStatistic& kind, const at::Tensor& rows, const at::Tensor&) {
  const auto result = kind.function(kind.parameters, rows);
  TORCH_CHECK_VALUE(result.defined() && result.dim() == 1 && result.size(0) == rows.size(0),
                    "[statistic] ", kind.name, ": expected one number a row, [", rows.size(0),
                    "], got ", result.defined() ? result.sizes() : at::IntArrayRef(), ".");
  return result;
}

at::Tensor value(const Mse&, const at::Tensor&, const at::Tensor&) {
  LACONIC_ASSERT(false, "mse is a search");
}
at::Tensor value(const KlDivergence&, const at::Tensor&, const at::Tensor&) {
  LACONIC_ASSERT(false, "kl is a search");
}
at::Tensor value(const HalfQuadratic&, const at::Tensor&, const at::Tensor&) {
  LACONIC_ASSERT(false, "hqo is a search");
}

}  // namespace

at::Tensor row_statistic(const Statistic& statistic, const at::Tensor& rows, const at::Tensor& x) {
  return std::visit([&](const auto& kind) { return value(kind, rows, x); }, statistic);
}

at::Tensor mean_sigma(const at::Tensor& rows, const at::Tensor& sigma) {
  const auto size = rows.abs(), mean = mean_of(size, 1);
  if (rows.size(1) == 1) return mean + sigma * 1e-4;  // the variance of one element is none
  const auto variance = size.to(at::kDouble).var(1, /*unbiased=*/true).to(size.scalar_type());
  return mean + sigma * (variance + 1e-8).sqrt();
}

at::Tensor row_minimum(const Statistic& statistic, const at::Tensor& rows) {
  if (const auto* interval = std::get_if<PercentileInterval>(&statistic)) {
    return kth(rows, std::ceil(0.01 * interval->low * rows.size(1))).clamp_max(0);
  }
  return rows.amin(1).clamp_max(0);
}

void check_statistic(const Statistic& statistic) {
  const auto percent = [](std::string_view part, double q) {
    TORCH_CHECK_VALUE(q > 0 && q <= 100, "[", part, "] expected a percentile in (0, 100], got ", q,
                      ".");
  };
  std::visit(
      Overloaded{
          [&](const Percentile& kind) { percent("Percentile", kind.q); },
          [&](const PercentileInterval& kind) {
            percent("PercentileInterval", kind.high);
            TORCH_CHECK_VALUE(kind.low >= 0 && kind.low < kind.high,
                              "[PercentileInterval] expected 0 <= low < high, got ", kind.low,
                              " and ", kind.high, ".");
          },
          [](const MeanSigma& kind) {
            TORCH_CHECK_VALUE(kind.sigma > 0, "[MeanSigma] sigma: expected more than 0, got ",
                              kind.sigma, ".");
          },
          [](const Mse& kind) {
            TORCH_CHECK_VALUE(kind.grid_points >= 2 && kind.grid_points <= 10000,
                              "[Mse] grid_points: expected 2 to 10000, got ", kind.grid_points,
                              ".");
          },
          [](const GivenRange& kind) {
            TORCH_CHECK_VALUE(std::isfinite(kind.range) && kind.range != 0,
                              "[GivenRange] range: expected a finite number other than 0, got ",
                              kind.range, ".");
          },
          [](const KlDivergence& kind) {
            TORCH_CHECK_VALUE(
                kind.bins >= 3 && kind.bins <= 100001 && kind.bins % 2 == 1 && kind.smoothing > 0 &&
                    kind.smoothing < 1,
                "[KlDivergence] expected an odd number of bins from 3 to 100001 and a smoothing "
                "in (0, 1), got ",
                kind.bins, " and ", kind.smoothing, ".");
          },
          [](const HalfQuadratic& kind) {
            TORCH_CHECK_VALUE(
                kind.iterations >= 1 && kind.p > 0 && kind.p <= 1 && kind.beta > 0 &&
                    kind.kappa >= 1,
                "[HalfQuadratic] expected iterations >= 1, 0 < p <= 1, beta > 0, kappa >= 1, got ",
                kind.iterations, ", ", kind.p, ", ", kind.beta, ", ", kind.kappa, ".");
          },
          [](const auto&) {}},
      statistic);
}

}  // namespace laconic
