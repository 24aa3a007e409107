#include "laconic/quant/bit_width/bit_width.h"

#include <ATen/core/Tensor.h>

#include "laconic/kernel/straight_through.h"

namespace laconic {

at::Tensor learned_bit_width(const LearnedBits& kind, const at::Tensor& offset) {
  const auto real = magnitude(offset) + static_cast<double>(kind.minimum_bits);
  return straight_through(real, real.detach().round());
}

at::Tensor clamped_bit_width(const BitClamp& clamp, const at::Tensor& bits,
                             const at::Tensor& removed) {
  const auto left = magnitude(bits - removed);
  return straight_through(left, left.detach().clamp(clamp.minimum, clamp.maximum));
}

at::Tensor removed_bits(const at::Tensor& coefficient) {
  return (coefficient.abs() + 1e-6).reciprocal();
}

void check_bit_width(const BitWidth& bit_width, int64_t bits) {
  const auto* learned = std::get_if<LearnedBits>(&bit_width);
  if (learned == nullptr) return;
  TORCH_CHECK_VALUE(learned->minimum_bits >= 1 && learned->minimum_bits <= 16,
                    "[LearnedBits] minimum_bits: expected 1 to 16, got ", learned->minimum_bits,
                    ".");
  TORCH_CHECK_VALUE(bits >= learned->minimum_bits, "[LearnedBits] minimum_bits ",
                    learned->minimum_bits, " contradicts the format's bits ", bits,
                    ": training begins there. Choose more bits, or a smaller minimum.");
}

}  // namespace laconic
