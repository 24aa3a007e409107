#include "laconic/quant/tensor/truncate.h"

#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <cmath>

#include "laconic/quant/tensor/operands.h"

namespace laconic {
namespace {

int64_t largest_shift(const Truncation& truncation, const QuantTensor& x) {
  const int64_t bits = integers_of("truncate", x).bit_width;
  TORCH_CHECK_VALUE(truncation.bit_width >= 1 && truncation.bit_width <= bits,
                    "[truncate] bit_width: expected 1 to the ", bits, " bits of the operand, got ",
                    truncation.bit_width, ". Choose fewer bits.");
  return bits - truncation.bit_width;
}

at::Tensor codes_with_gradient(const QuantTensor& x) {
  const auto real = x.value / x.scale;
  return apply_rounding(HalfEven{}, x.zero_point.defined() ? real + x.zero_point : real);
}

}  // namespace

std::string to_string(const Truncation& truncation) {
  return "to " + std::to_string(truncation.bit_width) + " bits" +
         (truncation.narrow_range ? " narrow" : "") + ", " + part_name(truncation.rounding) +
         (truncation.shift ? ", shifted by " + std::to_string(*truncation.shift)
                           : ", keeps the top bits");
}

int64_t shift_for(const Truncation& truncation, const QuantTensor& x, const Statistic& statistic) {
  const int64_t most = largest_shift(truncation, x);
  const auto rows = (x.value.detach() / x.scale.detach()).reshape({1, -1});
  const double found = row_statistic(statistic, rows, rows).item<double>();
  if (!(found > 0)) return 0;
  const int64_t sign = integers_of("truncate", x).is_signed ? 1 : 0;
  const auto shift =
      static_cast<int64_t>(std::ceil(std::log2(found))) - (truncation.bit_width - sign);
  return std::clamp<int64_t>(shift, 0, most);
}

QuantTensor truncate(const Truncation& truncation, const QuantTensor& x) {
  check_ungrouped("truncate", x);
  const int64_t most = largest_shift(truncation, x);
  const int64_t shift = truncation.shift.value_or(most);
  TORCH_CHECK_VALUE(shift >= 0 && shift <= most, "[truncate] shift: expected 0 to ", most, ", got ",
                    shift, ".");
  const IntFormat format{truncation.bit_width, integers_of("truncate", x).is_signed,
                         truncation.narrow_range};
  const double step = std::ldexp(1.0, static_cast<int>(shift));
  const auto real = codes_with_gradient(x) / step;
  const auto zero_point = x.zero_point.defined() ? x.zero_point / step : x.zero_point;
  const auto [q_min, q_max] = wide_code_range(format);
  const auto bound = [&](int64_t code) {
    return at::scalar_tensor(static_cast<double>(code), real.options().requires_grad(false));
  };
  const auto codes = apply_clamp(
      truncation.gradient,
      {apply_rounding(truncation.rounding, real), bound(q_min), bound(q_max), real, zero_point});
  const auto scale = x.scale * step;
  const auto value = (zero_point.defined() ? codes - zero_point : codes) * scale;
  return integer_tensor(value, scale, zero_point, format);
}

}  // namespace laconic
