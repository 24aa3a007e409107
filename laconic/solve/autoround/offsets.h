#pragma once

#include "laconic/optimize/schedule.h"
#include "laconic/quant/quantizer/range.h"
#include "laconic/solve/learned/variable.h"

namespace laconic::autoround {

/// A weight whose codes are moved by offsets V in [-1/2, 1/2], and whose range by factors:
/// Q = s (clamp(round(w / s + z + V)) - z). Gradients pass roundings straight through. In formats
/// whose elements are no integers V counts in the distance of the two elements around w / s + z,
/// and Q is one of these two.
class Offsets : public learned_rounding::Variable {
 public:
  struct Rates {
    optimize::LinearDecay offset, clip;
    bool learns_clip = true;
  };
  Offsets(const LayerProblem& problem, const Rates& rates);

  at::Tensor weight() override;
  void step(const at::Tensor& gradient, int64_t step) override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  LayerSolution solution() override;

 private:
  at::Tensor moved();
  at::Tensor moved_weight();
  void find_parameters();
  void step_factors(const at::Tensor& gradient, const at::Tensor& inside, double rate);

  const LayerProblem& problem_;
  Rates rates_;
  bool has_range_;
  Range range_;                 ///< found at first, [scales]
  at::Tensor high_, low_;       ///< factors of its ends, [scales]
  QuantParameters parameters_;  ///< of the range with these factors
  at::Tensor offset_;           ///< V, as `grouped` lays the weight out
  // Of the last `weight()`, laid out the same: Q, and where it is not clamped.
  at::Tensor quantized_, is_inside_;
};

}  // namespace laconic::autoround
