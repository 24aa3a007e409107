#include "laconic/quant/quantizer/fused.h"

#include <limits>

#include "laconic/kernel/fresh_memory.h"
#include "laconic/kernel/fused/fused.h"
#include "laconic/kernel/scale_runs.h"
#include "laconic/quant/quantizer/deferred_checks.h"
#include "laconic/quant/quantizer/fused_call.h"
#include "laconic/quant/quantizer/fused_gradient.h"

namespace laconic {
namespace {

using kernel::AffineCodes;
using kernel::ScaleRuns;

/// Half-quadratic searches of fewer elements are quick composed, and then round as the plain
/// formula does: their result hangs on the last bits.
constexpr int64_t kFewElements = 1 << 16;

bool is_plain(const at::Tensor& x) {
  return !x.defined() || (x.is_cpu() && x.scalar_type() == c10::ScalarType::Float);
}

/// Numbers that the loops read beside `x`.
bool are_beside(const at::Tensor& numbers, const at::Tensor& x) {
  return !numbers.defined() ||
         (numbers.device() == x.device() && numbers.scalar_type() == c10::ScalarType::Float);
}

AffineCodes affine_codes(const QuantSpec& spec, const QuantParameters& parameters) {
  const CodeRange range = code_range(spec.format);
  return {flat(parameters.scale), flat(parameters.zero_point), static_cast<float>(range.q_min),
          static_cast<float>(range.q_max)};
}

/// The runs of `x` when a kernel can quantize it with these parameters.
std::optional<ScaleRuns> runs_for(const QuantSpec& spec, const at::Tensor& x,
                                  const QuantParameters& parameters) {
  const at::Tensor &scale = parameters.scale, &zero_point = parameters.zero_point;
  if (parameters.code_scale.defined() || parameters.bit_width.defined()) return std::nullopt;
  if (!knows_rounding(spec) || !kernel::knows_device(x) || x.numel() == 0) return std::nullopt;
  if (!are_beside(scale, x) || !are_beside(zero_point, x)) return std::nullopt;
  check_granularity(spec.granularity, x.sizes());
  const auto runs = runs_of(spec.granularity, x.sizes());
  const bool fits = runs && scale.numel() == runs->scales() &&
                    (!zero_point.defined() || zero_point.numel() == runs->scales());
  return fits ? runs : std::nullopt;
}

}  // namespace

std::optional<bool> fused_is_finite(const at::Tensor& x, kernel::LaterAnswer* later) {
  const bool is_known =
      x.scalar_type() == c10::ScalarType::Float || x.scalar_type() == c10::ScalarType::BFloat16;
  if (!is_known || !kernel::knows_device(x) || x.numel() == 0 || !x.is_contiguous())
    return std::nullopt;
  return kernel::is_finite(x, later);
}

std::optional<at::Tensor> fused_fake_quantize(const QuantSpec& spec, const at::Tensor& x,
                                              const QuantParameters& parameters) {
  const auto grid = grid_of(spec.format);
  const auto runs = grid ? runs_for(spec, x, parameters) : std::nullopt;
  if (!runs) return std::nullopt;
  const bool with_gradient = needs_gradient(x) || needs_gradient(parameters.scale) ||
                             needs_gradient(parameters.zero_point);
  if (with_gradient && !has_fused_gradient(*runs)) return std::nullopt;
  const at::Tensor real = readable(x);
  FusedAnswer answer(spec);
  if (!fused_is_finite(real, answer.later()).value_or(false) || !answer.all_finite())
    return std::nullopt;  // the composed path says what becomes of it
  const at::Tensor room = kernel::fresh_like(real);
  kernel::quantize_given(real, *runs, *grid, {flat(parameters.scale), flat(parameters.zero_point)},
                         room);
  const auto value = room.to(x.scalar_type());
  if (!with_gradient) return value;
  return with_given_gradient(spec, FusedCall{*runs, *grid, false, {}}, x, parameters, value);
}

std::optional<at::Tensor> fused_codes(const QuantSpec& spec, const at::Tensor& x,
                                      const QuantParameters& parameters) {
  if (!x.is_cpu() || !std::holds_alternative<IntFormat>(spec.format) ||
      stored_bits(spec.format) > 8)
    return std::nullopt;
  const auto runs = runs_for(spec, x, parameters);
  if (!runs || runs->group < kShortestRun) return std::nullopt;
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
  AffineCodes codes = affine_codes(spec, parameters);
  const auto by_candidate = [&](const at::Tensor& x) {
    return x.defined() ? x.reshape(parameters.scale.sizes()) : x;
  };
  codes.scale = by_candidate(codes.scale), codes.zero_point = by_candidate(codes.zero_point);
  return kernel::squared_errors_of_runs(rows.detach().contiguous(),
                                        importance.defined() ? importance.contiguous() : importance,
                                        runs, codes);
}

std::optional<kernel::HalfQuadraticSearch> fused_half_quadratic(const HalfQuadratic& kind,
                                                                const QuantSpec& spec,
                                                                const at::Tensor& rows) {
  const bool has_whole_zero = std::holds_alternative<NoZeroPoint>(spec.zero_point) ||
                              std::holds_alternative<IntegerZeroPoint>(spec.zero_point);
  const bool fits = rows.numel() >= kFewElements && rows.size(1) < std::numeric_limits<int>::max();
  if (!knows_rounding(spec) || !is_plain(rows) || !fits || !has_whole_zero ||
      !std::holds_alternative<IntFormat>(spec.format) || stored_bits(spec.format) > 8 ||
      kind.p >= 1)
    return std::nullopt;
  const CodeRange range = code_range(spec.format);
  return kernel::HalfQuadraticSearch(rows, static_cast<float>(range.q_min),
                                     static_cast<float>(range.q_max), kind.p);
}

}  // namespace laconic
