#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic {

/// How a bias is quantized that is added to an accumulator: its scale is that of the products,
/// input scale times weight scale, so that its codes can be added to theirs.
struct BiasQuantizer {
  IntFormat format = {.bit_width = 32, .is_signed = true, .narrow_range = false};  ///< 2 to 32 bits
  Rounding rounding = HalfEven{};
  Gradient gradient = Clipped{};
  bool operator==(const BiasQuantizer&) const = default;
};

/// "int32 bias, input scale x weight scale"
std::string to_string(const BiasQuantizer& quantizer);

/// @param bias    [channels]
/// @param input   of the layer: one scale.
/// @param weight  one scale, or one for each output channel: along the first axis, or along the
///                second one of a transposed convolution's.
/// @returns  zero point none; scale [] or [channels], with a gradient to both scales.
/// @throws c10::ValueError for other scales, those along the inputs of a [out, in] weight too, and
///         for a bit width out of 2 to 32.
QuantTensor quantize_bias(const BiasQuantizer& quantizer, const at::Tensor& bias,
                          const QuantTensor& input, const QuantTensor& weight);

}  // namespace laconic
