#include "laconic/quant/quantizer/formula.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>

namespace laconic {

at::Tensor elements_of(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                       const CodeBounds& bounds, const QuantSpec& parts,
                       const RoundingState& state) {
  const auto real = zero_point.defined() ? x / scale + zero_point : x / scale;
  return elements_of_real(parts.format, real,
                          {bounds, parts.rounding, parts.gradient, state, zero_point});
}

at::Tensor real_values(const at::Tensor& elements, const at::Tensor& scale,
                       const at::Tensor& zero_point) {
  return zero_point.defined() ? (elements - zero_point) * scale : elements * scale;
}

CodeBounds bounds_like(const Format& format, const at::Tensor& like) {
  const auto [low, high] = element_range(format);
  const auto options = at::TensorOptions().dtype(like.scalar_type()).device(like.device());
  return {at::full({}, low, options), at::full({}, high, options)};
}

}  // namespace laconic
