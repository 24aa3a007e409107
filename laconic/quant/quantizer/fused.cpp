#include "laconic/quant/quantizer/fused.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <functional>
#include <numeric>

#include "laconic/base/variant.h"
#include "laconic/kernel/fused/fused.h"

namespace laconic {
namespace {

using kernel::AffineCodes;
using kernel::ScaleRuns;

constexpr int64_t kShortestRun = 16;  // below, a call a run costs more than the composed path

int64_t product(at::IntArrayRef sizes, int64_t begin) {
  return std::accumulate(sizes.begin() + begin, sizes.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

std::optional<ScaleRuns> runs_of(const Granularity& granularity, at::IntArrayRef sizes) {
  const int64_t count = product(sizes, 0), rank = static_cast<int64_t>(sizes.size());
  const auto rows_of_last = [&](int64_t group) -> std::optional<ScaleRuns> {
    const int64_t rows = count / sizes.back();
    return ScaleRuns{rows, sizes.back(), group, rows};
  };
  return std::visit(
      Overloaded{[&](const PerTensor&) -> std::optional<ScaleRuns> {
                   return ScaleRuns{1, count, count, 1};
                 },
                 [&](const PerChannel& kind) -> std::optional<ScaleRuns> {
                   const int64_t axis = kind.axis < 0 ? kind.axis + rank : kind.axis;
                   const int64_t inner = product(sizes, axis + 1);
                   return ScaleRuns{count / inner, inner, inner, sizes[axis]};
                 },
                 [&](const PerToken&) { return rows_of_last(sizes.back()); },
                 [&](const PerGroup& kind) -> std::optional<ScaleRuns> {
                   if (kind.axis != -1 && kind.axis != rank - 1) return std::nullopt;
                   return rows_of_last(kind.group_size);
                 },
                 [](const CustomGranularity&) -> std::optional<ScaleRuns> { return std::nullopt; }},
      granularity);
}

namespace {

bool needs_gradient(const at::Tensor& x) {
  return x.defined() && x.requires_grad() && at::GradMode::is_enabled();
}

bool is_plain(const at::Tensor& x) {
  return !x.defined() || (x.is_cpu() && x.scalar_type() == c10::ScalarType::Float);
}

bool knows_parts(const QuantSpec& spec) {
  return std::holds_alternative<HalfEven>(spec.rounding) &&
         !std::holds_alternative<CustomGradient>(spec.gradient);
}

AffineCodes affine_codes(const QuantSpec& spec, const QuantParameters& parameters) {
  const auto flat = [](const at::Tensor& x) {
    return x.defined() ? x.detach().reshape({-1}).contiguous() : x;
  };
  const CodeRange range = code_range(spec.format);
  return {flat(parameters.scale), flat(parameters.zero_point), static_cast<float>(range.q_min),
          static_cast<float>(range.q_max)};
}

/// The runs of `x` when a kernel can quantize it with these parameters.
std::optional<ScaleRuns> runs_for(const QuantSpec& spec, const at::Tensor& x,
                                  const QuantParameters& parameters) {
  const auto& [scale, zero_point] = parameters;
  if (!knows_parts(spec) || !x.is_cpu() || x.numel() == 0) return std::nullopt;
  if (!is_plain(scale) || !is_plain(zero_point)) return std::nullopt;
  check_granularity(spec.granularity, x.sizes());
  const auto runs = runs_of(spec.granularity, x.sizes());
  const bool fits = runs && runs->group >= kShortestRun && scale.numel() == runs->scales() &&
                    (!zero_point.defined() || zero_point.numel() == runs->scales());
  return fits ? runs : std::nullopt;
}

}  // namespace

std::optional<at::Tensor> fused_fake_quantize(const QuantSpec& spec, const at::Tensor& x,
                                              const QuantParameters& parameters) {
  if (needs_gradient(x) || needs_gradient(parameters.scale) ||
      needs_gradient(parameters.zero_point))
    return std::nullopt;
  const auto runs = runs_for(spec, x, parameters);
  if (!runs) return std::nullopt;
  const bool is_half = x.scalar_type() != c10::ScalarType::BFloat16;
  const auto real = is_half ? x.detach().to(c10::ScalarType::Float).contiguous() : x.contiguous();
  const AffineCodes codes = affine_codes(spec, parameters);
  const at::Tensor value = at::empty(x.sizes(), real.options());
  kernel::quantize_given(real, *runs, kernel::integer_grid(codes.q_min, codes.q_max), codes.scale,
                         codes.zero_point, value);
  return value.to(x.scalar_type());
}

std::optional<at::Tensor> fused_codes(const QuantSpec& spec, const at::Tensor& x,
                                      const QuantParameters& parameters) {
  if (stored_bits(spec.format) > 8) return std::nullopt;
  const auto runs = runs_for(spec, x, parameters);
  if (!runs) return std::nullopt;
  const auto real = x.detach().to(c10::ScalarType::Float).contiguous();
  return kernel::codes_of_runs(real, *runs, affine_codes(spec, parameters));
}

std::optional<kernel::Extremes> fused_extremes(const QuantSpec& spec, const at::Tensor& x) {
  const auto scale = statistic_of(spec.scale);
  const bool is_known = scale && (std::holds_alternative<AbsMax>(scale->statistic) ||
                                  std::holds_alternative<MinMax>(scale->statistic));
  if (!is_known || needs_gradient(x) || !is_plain(x) || x.numel() == 0) return std::nullopt;
  const auto runs = runs_of(spec.granularity, x.sizes());
  if (!runs || runs->period != runs->rows || runs->group < kShortestRun) return std::nullopt;
  return kernel::extremes_of_runs(x.detach().contiguous(), *runs);
}

std::optional<at::Tensor> fused_squared_error(const QuantSpec& spec, const at::Tensor& rows,
                                              const at::Tensor& importance,
                                              const QuantParameters& parameters) {
  if (!knows_parts(spec) || !is_plain(rows) || !is_plain(importance) || rows.numel() == 0 ||
      !is_plain(parameters.scale) || !is_plain(parameters.zero_point))
    return std::nullopt;
  const ScaleRuns runs{rows.size(0), rows.size(1), rows.size(1), rows.size(0)};
  return kernel::squared_errors_of_runs(rows.detach().contiguous(),
                                        importance.defined() ? importance.contiguous() : importance,
                                        runs, affine_codes(spec, parameters));
}

}  // namespace laconic
