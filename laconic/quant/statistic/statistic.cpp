#include "laconic/quant/statistic/statistic.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/kthvalue.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mean.h>
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

at::Tensor value(const AbsAverage&, const at::Tensor& rows, const at::Tensor&) {
  return rows.abs().mean(1);
}

at::Tensor value(const AbsMaxAverage&, const at::Tensor& rows, const at::Tensor& x) {
  TORCH_CHECK_VALUE(rows.size(0) == 1 && x.dim() > 0,
                    "[AbsMaxAverage] expected one scale for the whole tensor, got ", rows.size(0),
                    " scales. Choose granularity tensor.");
  return x.flatten(1).abs().amax(1).mean().reshape({1});
}

at::Tensor value(const MeanSigma& kind, const at::Tensor& rows, const at::Tensor&) {
  const auto size = rows.abs();
  return size.mean(1) + kind.sigma * (size.var(1, /*unbiased=*/true) + 1e-8).sqrt();
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
at::Tensor value(const HalfQuadratic&, const at::Tensor&, const at::Tensor&) {
  LACONIC_ASSERT(false, "hqo is a search");
}

}  // namespace

at::Tensor row_statistic(const Statistic& statistic, const at::Tensor& rows, const at::Tensor& x) {
  return std::visit([&](const auto& kind) { return value(kind, rows, x); }, statistic);
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
