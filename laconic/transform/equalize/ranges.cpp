#include "laconic/transform/equalize/ranges.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>

namespace laconic::transform {
namespace {

// Narrower channels are zeros.
constexpr double kNarrowest = 1e-9;

/// [channels, elements].
at::Tensor channels(const at::Tensor& tensor, int64_t dim) {
  return tensor.movedim(dim, 0).flatten(1);
}

at::Tensor widths(const at::Tensor& rows, RangeKind kind) {
  return kind == RangeKind::kLargestMagnitude ? rows.abs().amax(1) : rows.amax(1) - rows.amin(1);
}

at::Tensor widest(const at::Tensor& a, const at::Tensor& b) {
  return a.defined() ? at::maximum(a, b) : b;
}

bool is_bias(const Tensors& tensors, const std::vector<ScaledPart>& sources, size_t i) {
  return i < sources.size() && tensors.at(sources[i].part.parameter).dim() == 1;
}

at::Tensor source_width(const Tensors& tensors, const std::vector<ScaledPart>& sources,
                        const Equalization& options) {
  at::Tensor result;
  for (size_t i = 0; i < sources.size(); ++i) {
    if (is_bias(tensors, sources, i)) continue;
    const auto& weight = tensors.at(sources[i].part.parameter);
    auto rows = channels(weight, sources[i].part.dim);
    if (options.merge_bias && is_bias(tensors, sources, i + 1)) {
      const auto& bias = tensors.at(sources[i + 1].part.parameter);
      const double shrinkage =
          options.bias_shrinkage > 0 ? options.bias_shrinkage : adaptive_shrinkage(rows, bias);
      rows = at::cat({rows, (bias / shrinkage).unsqueeze(1)}, 1);
    }
    if (sources[i].index.defined()) rows = rows.index_select(0, sources[i].index);
    result = widest(result, widths(rows, options.range));
  }
  return result;
}

std::vector<Part> readers_of(const Scaling& region) {
  std::vector<Part> parts = region.others;
  for (const graph::LinearLayer& layer : region.layers) parts.push_back(columns_of(layer));
  return parts;
}

at::Tensor sink_width(const Tensors& tensors, const Scaling& region, RangeKind kind) {
  at::Tensor result;
  for (const Part& part : readers_of(region))
    result = widest(result, widths(channels(tensors.at(part.parameter), part.dim), kind));
  return region.largest(result);
}

}  // namespace

double adaptive_shrinkage(const at::Tensor& weight, const at::Tensor& bias) {
  const auto magnitude = weight.abs();
  const auto ratio = bias.abs().unsqueeze(1) / magnitude.clamp_min(kNarrowest);
  const double largest = bias.abs().max().item<double>();
  const double quotient = largest / std::max(magnitude.max().item<double>(), kNarrowest);
  const double median = ratio.median().item<double>(), mean = ratio.mean().item<double>();
  if (largest < 10 && quotient < 20) return median > 100 || mean > 1000 ? 5 : 2;
  if (median > 30 || mean > 500) return 20;
  return median > 15 || mean > 250 ? 10 : 5;
}

std::vector<at::Tensor> equalize_ranges(Tensors& tensors, const std::vector<Scaling>& regions,
                                        const Equalization& options) {
  std::vector<at::Tensor> total;
  for (const Scaling& region : regions) total.push_back(at::ones({region.width}));
  for (int64_t round = 0; round < options.iterations; ++round) {
    double farthest = 0;
    for (size_t i = 0; i < regions.size(); ++i) {
      const Scaling& region = regions[i];
      const auto source = source_width(tensors, region.sources, options);
      const auto sink = sink_width(tensors, region, options.range);
      const auto factors = at::where((source > kNarrowest) & (sink > kNarrowest),
                                     (source / sink).sqrt(), at::ones_like(source));
      farthest = std::max(farthest, (1 - factors.reciprocal()).abs().max().item<double>());
      for (const ScaledPart& part : region.sources) {
        at::Tensor& tensor = tensors.at(part.part.parameter);
        tensor = scaled_at(tensor, part, factors.reciprocal());
      }
      for (const Part& part : readers_of(region)) {
        at::Tensor& tensor = tensors.at(part.parameter);
        tensor = scaled_at(tensor, {part}, region.spread(factors));
      }
      total[i] = total[i] * factors;
    }
    if (farthest < options.threshold) break;
  }
  return total;
}

}  // namespace laconic::transform
