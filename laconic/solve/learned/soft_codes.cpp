#include "laconic/solve/learned/soft_codes.h"

#include <cmath>

#include "laconic/quant/rounding/learned.h"
#include "laconic/solve/learned/neighbours.h"
#include "laconic/solve/problem.h"

namespace laconic::learned_rounding {
namespace {

constexpr double kStretch = LearnedHardSigmoid{}.stretch_high - LearnedHardSigmoid{}.stretch_low;

}  // namespace

SoftCodes::SoftCodes(const LayerProblem& problem, const Rules& rules)
    : problem_(problem), rules_(rules), parameters_(problem_parameters(problem, problem.weight)) {
  at::Tensor code = grouped(problem.weight, problem.spec.granularity) / parameters_.scale;
  if (parameters_.zero_point.defined()) code = code + parameters_.zero_point;
  const auto [low, high] = neighbours(problem.spec.format, code);
  low_ = low;
  width_ = high - low;
  // As the fraction of a code; 0 where there is one element only.
  constexpr double kBelowOne = 1 - 0x1p-24;
  const at::Tensor fraction = (code - low).div_(width_.clamp_min(1e-30)).clamp_(0, kBelowOne);
  logit_ = first_value(LearnedHardSigmoid{}, fraction);
}

at::Tensor SoftCodes::share() const {
  return logit_.sigmoid().mul_(kStretch).add_(LearnedHardSigmoid{}.stretch_low).clamp_(0, 1);
}

/// [out, in] with shares that are laid out.
at::Tensor SoftCodes::value_of(const at::Tensor& share) const {
  at::Tensor element = low_.addcmul(share, width_);
  if (parameters_.zero_point.defined()) element = element - parameters_.zero_point;
  return ungrouped(element * parameters_.scale, problem_.weight.sizes(), problem_.spec.granularity);
}

at::Tensor SoftCodes::weight() { return value_of(share()); }

void SoftCodes::step(const at::Tensor& gradient, int64_t step) {
  const at::Tensor h = share();
  const at::Tensor sigmoid = logit_.sigmoid();
  // dh/dv, 0 where h is clamped.
  const at::Tensor slope = sigmoid * (1 - sigmoid) * kStretch * h.gt(0).logical_and_(h.lt(1));
  at::Tensor by_share = h.new_zeros(h.sizes());
  if (gradient.defined()) {
    by_share =
        grouped(gradient.to(at::kFloat), problem_.spec.granularity) * parameters_.scale * width_;
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
  const at::Tensor value = value_of(share().gt(0.5).to(at::kFloat));
  return {.codes = quantize_codes(problem_.spec, value, parameters_), .parameters = parameters_};
}

}  // namespace laconic::learned_rounding
