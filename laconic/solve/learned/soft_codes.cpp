#include "laconic/solve/learned/soft_codes.h"

#include <cmath>

#include "laconic/quant/rounding/learned.h"
#include "laconic/solve/problem.h"

namespace laconic::learned_rounding {
namespace {

constexpr double kStretch = LearnedHardSigmoid{}.stretch_high - LearnedHardSigmoid{}.stretch_low;

}  // namespace

SoftCodes::SoftCodes(const LayerProblem& problem, const Rules& rules)
    : problem_(problem), rules_(rules), parameters_(problem_parameters(problem, problem.weight)) {
  at::Tensor code = grouped(problem.weight, problem.spec.granularity) / parameters_.scale;
  if (parameters_.zero_point.defined()) code = code + parameters_.zero_point;
  const auto range = code_range(problem.spec.format);
  low_ = static_cast<double>(range.q_min);
  high_ = static_cast<double>(range.q_max);
  below_ = code.floor();
  logit_ = first_value(LearnedHardSigmoid{}, code);
}

at::Tensor SoftCodes::share() const {
  return logit_.sigmoid().mul_(kStretch).add_(LearnedHardSigmoid{}.stretch_low).clamp_(0, 1);
}

/// [out, in] of codes that are laid out.
at::Tensor SoftCodes::value_of(const at::Tensor& code) const {
  at::Tensor clamped = code.clamp(low_, high_);
  if (parameters_.zero_point.defined()) clamped = clamped - parameters_.zero_point;
  return ungrouped(clamped * parameters_.scale, problem_.weight.sizes(), problem_.spec.granularity);
}

at::Tensor SoftCodes::weight() { return value_of(below_ + share()); }

void SoftCodes::step(const at::Tensor& gradient, int64_t step) {
  const at::Tensor h = share();
  const at::Tensor sigmoid = logit_.sigmoid();
  // dh/dv, 0 where h is clamped.
  const at::Tensor slope = sigmoid * (1 - sigmoid) * kStretch * h.gt(0).logical_and_(h.lt(1));
  at::Tensor by_share = h.new_zeros(h.sizes());
  if (gradient.defined()) {
    const at::Tensor code = below_ + h;
    const at::Tensor inside = code.ge(low_).logical_and_(code.le(high_));
    by_share =
        grouped(gradient.to(at::kFloat), problem_.spec.granularity) * parameters_.scale * inside;
  }
  if (step >= static_cast<int64_t>(rules_.beta.warmup * static_cast<double>(rules_.beta.steps))) {
    const double beta = rules_.beta.at(step);
    const at::Tensor side = 2 * h - 1;
    const double weight = -2 * beta * rules_.penalty / static_cast<double>(h.numel());
    by_share = by_share + side.abs().pow(beta - 1) * side.sign() * weight;
  }
  adam_.step(logit_, by_share * slope, rules_.rate);
}

std::vector<at::Tensor> SoftCodes::state() const { return {logit_.clone()}; }

void SoftCodes::restore(const std::vector<at::Tensor>& state) { logit_ = state.at(0).clone(); }

LayerSolution SoftCodes::solution() {
  // Whole codes of the quantizer's own range, as it finds them for the values that they stand for.
  const at::Tensor value = value_of(below_ + share().gt(0.5));
  return {.codes = quantize_codes(problem_.spec, value, parameters_), .parameters = parameters_};
}

}  // namespace laconic::learned_rounding
