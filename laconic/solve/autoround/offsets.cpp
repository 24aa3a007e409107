#include "laconic/solve/autoround/offsets.h"

#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>

#include "laconic/solve/learned/neighbours.h"
#include "laconic/solve/problem.h"

namespace laconic::autoround {
namespace {

/// A factor below takes all codes from a range, or its sign.
constexpr double kSmallestFactor = 0.05;

/// Sum over the elements of each scale, in the shape of the scale.
at::Tensor sum_to(const at::Tensor& view, const at::Tensor& scale) {
  return view.sum_to_size(scale.sizes());
}

}  // namespace

Offsets::Offsets(const LayerProblem& problem, const Rates& rates)
    : problem_(problem),
      rates_(rates),
      has_range_(!problem.parameters && statistic_of(problem.spec.scale).has_value()) {
  if (has_range_) {
    const at::Tensor importance =
        problem.importance.defined() ? problem.importance.unsqueeze(0) : at::Tensor();
    range_ = find_range(problem.spec, problem.weight, importance);
    high_ = at::ones_like(range_.statistic);
    low_ = at::ones_like(range_.statistic);
  }
  parameters_ = problem_parameters(problem, problem.weight);
  offset_ = at::zeros_like(grouped(problem.weight, problem.spec.granularity));
}

/// The range's upper end is statistic + minimum where it has a minimum, else the statistic.
void Offsets::find_parameters() {
  if (!has_range_ || !rates_.learns_clip) return;
  const auto shape = scale_shape(problem_.weight.sizes(), problem_.spec.granularity);
  Range range{range_.statistic * high_, {}};
  if (range_.minimum.defined()) {
    // Factors of 1 change no bit.
    range.minimum = range_.minimum * low_;
    range.statistic = range_.statistic + (range_.statistic + range_.minimum) * (high_ - 1) -
                      range_.minimum * (low_ - 1);
  }
  parameters_ = parameters_of_range(problem_.spec, range, shape);
}

/// w + V steps as `grouped` lays it out; a step leads from one element to the next.
at::Tensor Offsets::moved() {
  const at::Tensor& scale = parameters_.scale;
  const at::Tensor view = grouped(problem_.weight, problem_.spec.granularity);
  if (std::holds_alternative<IntFormat>(problem_.spec.format)) return view.addcmul(offset_, scale);
  at::Tensor real = view / scale;
  if (parameters_.zero_point.defined()) real = real + parameters_.zero_point;
  const auto [low, high] = learned_rounding::neighbours(problem_.spec.format, real);
  is_inside_ = real.ge(low).logical_and_(real.le(high));
  // Not beyond the neighbours: behind them steps may be smaller.
  const at::Tensor wanted = real.addcmul(offset_, high - low).clamp(low, high);
  return view.addcmul(wanted.sub_(real), scale);
}

at::Tensor Offsets::moved_weight() {
  return ungrouped(moved(), problem_.weight.sizes(), problem_.spec.granularity);
}

at::Tensor Offsets::weight() {
  const at::Tensor real = moved_weight();
  const at::Tensor quantized = fake_quantize(problem_.spec, real, parameters_);
  quantized_ = grouped(quantized, problem_.spec.granularity);
  if (std::holds_alternative<IntFormat>(problem_.spec.format)) {
    // Not clamped: the code is the nearest one. Half a code more is that of no clamp, a tie.
    const at::Tensor limit = parameters_.scale.abs().mul_(0.5001);
    is_inside_ = (grouped(real, problem_.spec.granularity) - quantized_).abs_().le(limit);
  }
  return quantized;
}

void Offsets::step(const at::Tensor& gradient, int64_t step) {
  if (!gradient.defined()) return;
  const at::Tensor view = grouped(gradient.to(at::kFloat), problem_.spec.granularity);
  const at::Tensor inside = view * is_inside_;
  if (has_range_ && rates_.learns_clip) step_factors(view, inside, rates_.clip.at(step));
  // dQ/dV is a step, which has the sign of the scale.
  const at::Tensor direction = (inside * parameters_.scale).sign_();
  offset_.sub_(direction, rates_.offset.at(step)).clamp_(-0.5, 0.5);
  find_parameters();
}

/// @param gradient  of Q, laid out.
/// @param inside    the same where codes are not clamped, else 0.
void Offsets::step_factors(const at::Tensor& gradient, const at::Tensor& inside, double rate) {
  const at::Tensor& scale = parameters_.scale;
  const at::Tensor weight = grouped(problem_.weight, problem_.spec.granularity);
  // dQ/ds = (Q - w [inside]) / s; dQ/dz = -s [outside].
  at::Tensor by_scale =
      (sum_to(gradient * quantized_, scale) - sum_to(inside * weight, scale)) / scale;
  if (!range_.minimum.defined()) {
    high_.sub_(by_scale.reshape_as(high_).sign_(), rate).clamp_(kSmallestFactor);
    return;
  }
  // With N codes: s = (high - low) / N, z = q_min - low / s.
  const at::Tensor minimum = range_.minimum.reshape_as(scale);
  const at::Tensor low = minimum * low_.reshape_as(scale);
  const at::Tensor by_zero = sum_to(inside - gradient, scale) * scale;
  by_scale = by_scale + by_zero * low / scale.square();
  const at::Tensor by_low =
      -minimum * (by_scale * scale / (range_.statistic.reshape_as(scale)) + by_zero / scale);
  high_.sub_(by_scale.reshape_as(high_).sign_(), rate).clamp_(kSmallestFactor);
  low_.sub_(by_low.reshape_as(low_).sign_(), rate).clamp_(kSmallestFactor);
}

std::vector<at::Tensor> Offsets::state() const {
  std::vector<at::Tensor> state = {offset_.clone()};
  if (has_range_) state.insert(state.end(), {high_.clone(), low_.clone()});
  return state;
}

void Offsets::restore(const std::vector<at::Tensor>& state) {
  offset_ = state.at(0).clone();
  if (has_range_) {
    high_ = state.at(1).clone();
    low_ = state.at(2).clone();
  }
  find_parameters();
}

LayerSolution Offsets::solution() {
  return {.codes = quantize_codes(problem_.spec, moved_weight(), parameters_),
          .parameters = parameters_};
}

}  // namespace laconic::autoround
