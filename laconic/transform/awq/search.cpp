#include "laconic/transform/awq/search.h"

#include <ATen/ops/einsum.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic::transform {
namespace {

// No feature is scaled by less, and none is divided by zero.
constexpr double kSmallest = 1e-4;

/// Mean over all rows of the magnitude relative to the largest of its group.
at::Tensor relative_mean(const std::vector<FutureWeight>& weights) {
  at::Tensor sum;
  int64_t rows = 0;
  for (const FutureWeight& future : weights) {
    const auto magnitude = future.weight.abs().unflatten(1, {-1, future.run()});
    const auto relative = magnitude / magnitude.amax(-1, true).clamp_min(kSmallest * kSmallest);
    const auto own = relative.flatten(1).sum(0);
    sum = sum.defined() ? sum + own : own;
    rows += future.weight.size(0);
  }
  return sum / rows;
}

at::Tensor normalized(const at::Tensor& factors) {
  const auto s = factors.clamp_min(kSmallest);
  return s / (s.max() * s.min()).sqrt();
}

double output_error(const FutureWeight& future, const at::Tensor& factors,
                    const at::Tensor& hessian) {
  const auto scaled = fake_quantize_dynamic(future.spec, future.weight * factors);
  const auto difference = scaled / factors - future.weight;
  return (difference.matmul(hessian) * difference).sum(at::kDouble).item<double>();
}

}  // namespace

FoundFactors search_factors(const std::vector<FutureWeight>& weights, const at::Tensor& hessian,
                            const at::Tensor& mean, const Scaling& scaling,
                            const FactorSearch& search) {
  const auto input = scaling.mean(mean);
  const auto weight = search.weight_mean ? scaling.mean(relative_mean(weights)) : at::Tensor();
  FoundFactors best{{}, std::numeric_limits<double>::infinity(), 0};
  const auto consider = [&](const at::Tensor& factors) {
    double error = 0;
    for (const FutureWeight& future : weights)
      error += output_error(future, scaling.spread(factors), hessian);
    if (!best.factors.defined()) best.error_before = error;
    if (!best.factors.defined() || error < best.error) best.factors = factors, best.error = error;
  };
  for (int64_t i = 0; i < search.grid; ++i) {
    const double r = static_cast<double>(i) / static_cast<double>(search.grid);
    const auto power = input.pow(r);
    consider(normalized(power));
    if (search.weight_mean) consider(normalized(power / (weight.pow(1 - r) + kSmallest)));
  }
  return best;
}

at::Tensor search_clips(const FutureWeight& future, const at::Tensor& hessian,
                        const ClipSearch& search) {
  const int64_t run = future.run(), groups = future.weight.size(1) / run;
  const auto weight = future.weight.unflatten(1, {groups, run});
  // Blocks of the diagonal: [groups, run, run].
  const auto blocks = hessian.unflatten(0, {groups, run})
                          .unflatten(-1, {groups, run})
                          .diagonal(0, 0, 2)
                          .permute({2, 0, 1});
  const auto largest = weight.abs().amax(-1, true);
  auto clips = largest.clone();
  auto least = at::full_like(largest, std::numeric_limits<float>::infinity());
  const auto steps = static_cast<int64_t>(search.max_shrink * static_cast<double>(search.grid));
  for (int64_t i = 0; i < steps; ++i) {
    const auto limit = largest * (1 - static_cast<double>(i) / static_cast<double>(search.grid));
    const auto cut = clipped(future.weight, limit);
    const auto difference =
        fake_quantize_dynamic(future.spec, cut).unflatten(1, {groups, run}) - weight;
    const auto error =
        at::einsum("ogi,gij,ogj->og", {difference, blocks, difference}).unsqueeze(-1);
    clips = at::where(error < least, limit, clips);
    least = at::minimum(least, error);
  }
  return clips;
}

at::Tensor clipped(const at::Tensor& weight, const at::Tensor& clips) {
  const auto groups = weight.unflatten(1, {clips.size(1), -1});
  return groups.clamp(-clips, clips).flatten(1);
}

}  // namespace laconic::transform
