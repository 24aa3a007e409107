#include "laconic/quant/rounding/nearest.h"

#include <ATen/core/Tensor.h>

namespace laconic {

at::Tensor round_codes(const HalfEven&, const at::Tensor& code) { return code.round(); }
at::Tensor round_codes(const Ceil&, const at::Tensor& code) { return code.ceil(); }
at::Tensor round_codes(const Floor&, const at::Tensor& code) { return code.floor(); }
at::Tensor round_codes(const TowardZero&, const at::Tensor& code) { return code.trunc(); }

at::Tensor round_codes(const HalfAway&, const at::Tensor& code) {
  // Adding a half would round numbers just below it up; the fraction is exact.
  const auto whole = code.trunc();
  return whole + code.sign().masked_fill((code - whole).abs().lt(0.5), 0);
}

at::Tensor round_codes(const Dpu&, const at::Tensor& code) {
  const auto negative_tie = code.lt(0).logical_and((code - code.floor()).eq(0.5));
  return code.ceil().where(negative_tie, code.round());
}

}  // namespace laconic
