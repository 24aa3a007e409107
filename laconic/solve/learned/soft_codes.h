#pragma once

#include "laconic/optimize/adam.h"
#include "laconic/optimize/schedule.h"
#include "laconic/solve/learned/variable.h"

namespace laconic::learned_rounding {

/// A weight each of whose codes is the one below or the one above, with a soft share h(v) of the
/// step between while it is learned:
///   Q = s (low + h(v) (high - low) - z),  h(v) = clamp(1.2 sigmoid(v) - 0.1, 0, 1),
/// low and high the elements around w / s + z (neighbours.h), which for integers are codes.
/// A penalty, mean(1 - |2 h - 1|^beta), drives h to 0 or 1; beta falls, so that first those shares
/// are driven that are nearly there. Solved: h > 0.5. Paper: Nagel et al. 2020, arXiv:2004.10568.
class SoftCodes : public Variable {
 public:
  struct Rules {
    double rate = 0.01;               ///< of Adam
    double penalty = 1;               ///< weight of the penalty beside the relative loss
    optimize::LinearDecay beta = {};  ///< its warm-up has no penalty
  };
  SoftCodes(const LayerProblem& problem, const Rules& rules);

  at::Tensor weight() override;
  void step(const at::Tensor& gradient, int64_t step) override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  LayerSolution solution() override;

 private:
  at::Tensor share() const;
  at::Tensor value_of(const at::Tensor& share) const;

  const LayerProblem& problem_;
  Rules rules_;
  QuantParameters parameters_;
  // As `grouped` lays the weight out: the element below, how far it is to the one above, and v.
  at::Tensor low_, width_, logit_;
  optimize::Adam adam_;
};

}  // namespace laconic::learned_rounding
