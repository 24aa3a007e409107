#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic {

/// How an accumulator is brought back to few bits: by how many its codes are shifted to the right,
/// how the rest is rounded, and that what is still too large is clamped.
struct Truncation {
  int64_t bit_width = 8;  ///< of the result
  Rounding rounding = Floor{};
  Gradient gradient = Clipped{};
  bool narrow_range = false;
  /// Bits to shift by; none: what the widths differ by, so that the top bits are kept. A shift that
  /// statistics find (shift_for) is at least 0 and at most that.
  std::optional<int64_t> shift = {};
  bool operator==(const Truncation&) const = default;
};

/// "to 8 bits, floor, keeps the top bits"
std::string to_string(const Truncation& truncation);

/// The least shift after which the statistic of the codes of `x` fits the result: the power of two
/// (rounded up) over 2^(bit width - sign), kept from 0 to what the widths differ by.
/// @param statistic  AbsMax, Percentile, ...: of the whole tensor; no search.
int64_t shift_for(const Truncation& truncation, const QuantTensor& x, const Statistic& statistic);

/// codes = clamp(round(round(x / scale + zero_point) / 2^shift)); scale * 2^shift, zero point /
/// 2^shift. Gradients reach the value and the scale.
/// @throws c10::TypeError for formats other than integers; c10::ValueError when the result would be
/// wider than `x`.
QuantTensor truncate(const Truncation& truncation, const QuantTensor& x);

}  // namespace laconic
