#include "laconic/quant/format/format.h"

#include <ATen/ops/full_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/zeros_like.h>

namespace laconic {

CodeRange code_range(const Format& format) {
  const auto& kind = std::get<IntFormat>(format);
  const int64_t narrow = kind.narrow_range ? 1 : 0;
  if (kind.is_signed) {
    const int64_t half = int64_t{1} << (kind.bit_width - 1);
    return {-half + narrow, half - 1};
  }
  return {0, (int64_t{1} << kind.bit_width) - 1 - narrow};
}

int64_t stored_bits(const Format& format) { return std::get<IntFormat>(format).bit_width; }

CodeBounds code_bounds(const IntFormat& format, const at::Tensor& bit_width) {
  const double narrow = format.narrow_range ? 1 : 0;
  if (format.is_signed) {
    const auto half = at::pow(2.0, bit_width - 1);
    return {-half + narrow, half - 1};
  }
  return {at::zeros_like(bit_width), at::pow(2.0, bit_width) - 1 - narrow};
}

void check_format(const Format& format) {
  const auto& kind = std::get<IntFormat>(format);
  TORCH_CHECK_VALUE(kind.bit_width >= 1 && kind.bit_width <= 16,
                    "[format] bit_width: expected 1 to 16, got ", kind.bit_width,
                    ". Choose 2 to 8 for files.");
  const auto [q_min, q_max] = code_range(format);
  TORCH_CHECK_VALUE(q_min < q_max, "[format] bit_width ", kind.bit_width,
                    kind.narrow_range ? " with narrow_range" : "", " leaves ", q_max - q_min + 1,
                    " code; expected at least 2. Choose a larger bit_width.");
}

}  // namespace laconic
