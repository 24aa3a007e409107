#include "laconic/quant/rounding/rounding.h"

#include "laconic/kernel/straight_through.h"

namespace laconic {

at::Tensor round_codes(const HalfEven&, const at::Tensor& code) { return code.round(); }
at::Tensor round_codes(const Ceil&, const at::Tensor& code) { return code.ceil(); }
at::Tensor round_codes(const Floor&, const at::Tensor& code) { return code.floor(); }
at::Tensor round_codes(const TowardZero&, const at::Tensor& code) { return code.trunc(); }

at::Tensor round_codes(const Dpu&, const at::Tensor& code) {
  const auto negative_tie = code.lt(0).logical_and((code - code.floor()).eq(0.5));
  return code.ceil().where(negative_tie, code.round());
}

at::Tensor round_codes(const CustomRounding& kind, const at::Tensor& code) {
  return kind.function(kind.parameters, code);
}

at::Tensor apply_rounding(const Rounding& rounding, const at::Tensor& code) {
  return std::visit(
      [&](const auto& kind) { return straight_through(code, round_codes(kind, code.detach())); },
      rounding);
}

}  // namespace laconic
