#include "laconic/quant/quantizer/formula.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>

namespace laconic {

at::Tensor integer_codes(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                         const CodeBounds& bounds, const QuantSpec& parts,
                         const RoundingState& state) {
  const auto real = zero_point.defined() ? x / scale + zero_point : x / scale;
  const auto code = apply_rounding(parts.rounding, real, state);
  return apply_clamp(parts.gradient, {code, bounds.q_min, bounds.q_max, real, zero_point});
}

at::Tensor real_values(const at::Tensor& codes, const at::Tensor& scale,
                       const at::Tensor& zero_point) {
  return zero_point.defined() ? (codes - zero_point) * scale : codes * scale;
}

CodeBounds bounds_like(const Format& format, const at::Tensor& like) {
  const auto [q_min, q_max] = code_range(format);
  const auto options = at::TensorOptions().dtype(like.scalar_type()).device(like.device());
  return {at::full({}, static_cast<double>(q_min), options),
          at::full({}, static_cast<double>(q_max), options)};
}

}  // namespace laconic
