#pragma once

#include <ATen/core/ATen_fwd.h>

#include <cstdint>
#include <string_view>
#include <variant>

namespace laconic {

/// The bits of the format.
struct FixedBits {
  static constexpr std::string_view kName = "fixed";
  bool operator==(const FixedBits&) const = default;
};

/// A parameter that training moves: round(|offset|) + minimum_bits, with the bits of the format to
/// begin with (nn::Quantizer keeps the offset): of integers all bits, of minifloats the mantissa's.
struct LearnedBits {
  static constexpr std::string_view kName = "learned";
  int64_t minimum_bits = 2;
  bool operator==(const LearnedBits&) const = default;
};

using BitWidth = std::variant<FixedBits, LearnedBits>;

/// The whole bit width of a learned offset (0-dim, bits over the minimum, any sign): 0-dim. The
/// gradient passes straight through the rounding; that of |offset| is 1 at 0.
at::Tensor learned_bit_width(const LearnedBits& kind, const at::Tensor& offset);

/// The bits that an accumulator keeps when its top bits are cut off:
/// clamp(|bits - removed|, minimum, maximum), with a straight-through clamp.
struct BitClamp {
  double minimum = 2, maximum = 32;
};
at::Tensor clamped_bit_width(const BitClamp& clamp, const at::Tensor& bits,
                             const at::Tensor& removed);

/// The bits that a learned coefficient removes: 1 / (1e-6 + |coefficient|).
at::Tensor removed_bits(const at::Tensor& coefficient);

/// @throws c10::ValueError for a minimum outside 1..16, or above the bits to begin with.
void check_bit_width(const BitWidth& bit_width, int64_t bits);

}  // namespace laconic
