#include "laconic/quant/quantizer/formula.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>

#include <limits>

#include "laconic/kernel/straight_through.h"

namespace laconic {

at::Tensor units_of(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto plain = x.detach();
  const auto finite = straight_through(x, plain.masked_fill(plain.isinf(), nan));
  return zero_point.defined() ? finite / scale + zero_point : finite / scale;
}

at::Tensor elements_of(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                       const CodeBounds& bounds, const QuantSpec& parts,
                       const RoundingState& state) {
  return elements_of_real(parts.format, units_of(x, scale, zero_point),
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
