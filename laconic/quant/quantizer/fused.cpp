#include "laconic/quant/quantizer/fused.h"

#include "laconic/kernel/fresh_memory.h"
#include "laconic/kernel/fused/fused.h"
#include "laconic/kernel/scale_runs.h"
#include "laconic/quant/quantizer/fused_call.h"
#include "laconic/quant/quantizer/fused_gradient.h"

namespace laconic {
namespace {

using kernel::AffineCodes;
using kernel::ScaleRuns;

bool is_plain(const at::Tensor& x) {
  return !x.defined() || (x.is_cpu() && x.scalar_type() == c10::ScalarType::Float);
}

AffineCodes affine_codes(const QuantSpec& spec, const QuantParameters& parameters) {
  const CodeRange range = code_range(spec.format);
  return {flat(parameters.scale), flat(parameters.zero_point), static_cast<float>(range.q_min),
          static_cast<float>(range.q_max)};
}

/// The runs of `x` when a kernel can quantize it with these parameters.
std::optional<ScaleRuns> runs_for(const QuantSpec& spec, const at::Tensor& x,
                                  const QuantParameters& parameters) {
  const auto& [scale, zero_point, unused] = parameters;
  if (!knows_rounding(spec) || !x.is_cpu() || x.numel() == 0) return std::nullopt;
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
  const auto grid = grid_of(spec.format);
  const auto runs = grid ? runs_for(spec, x, parameters) : std::nullopt;
  if (!runs) return std::nullopt;
  const bool with_gradient = needs_gradient(x) || needs_gradient(parameters.scale) ||
                             needs_gradient(parameters.zero_point);
  if (with_gradient && !has_fused_gradient(*grid, *runs)) return std::nullopt;
  const at::Tensor real = readable(x), room = kernel::fresh_like(real);
  kernel::quantize_given(real, *runs, *grid, {flat(parameters.scale), flat(parameters.zero_point)},
                         room);
  const auto value = room.to(x.scalar_type());
  if (!with_gradient) return value;
  return with_given_gradient(spec, FusedCall{*runs, *grid, false, {}}, x, parameters, value);
}

std::optional<at::Tensor> fused_codes(const QuantSpec& spec, const at::Tensor& x,
                                      const QuantParameters& parameters) {
  if (!std::holds_alternative<IntFormat>(spec.format) || stored_bits(spec.format) > 8)
    return std::nullopt;
  const auto runs = runs_for(spec, x, parameters);
  if (!runs) return std::nullopt;
  const auto real = x.detach().to(c10::ScalarType::Float).contiguous();
  return kernel::codes_of_runs(real, *runs, affine_codes(spec, parameters));
}

std::optional<at::Tensor> fused_squared_error(const QuantSpec& spec, const at::Tensor& rows,
                                              const at::Tensor& importance,
                                              const QuantParameters& parameters) {
  if (!std::holds_alternative<IntFormat>(spec.format) || !knows_rounding(spec) || !is_plain(rows) ||
      !is_plain(importance) || rows.numel() == 0 || !is_plain(parameters.scale) ||
      !is_plain(parameters.zero_point))
    return std::nullopt;
  const ScaleRuns runs{rows.size(0), rows.size(1), rows.size(1), rows.size(0)};
  return kernel::squared_errors_of_runs(rows.detach().contiguous(),
                                        importance.defined() ? importance.contiguous() : importance,
                                        runs, affine_codes(spec, parameters));
}

}  // namespace laconic
