#pragma once

#include <string>

#include "compare.h"
#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic::golden {

/// The quantized tensor that a case holds under `prefix`: value, scale, zero_point, bit_width and,
/// unless `is_signed` says it, signed.
QuantTensor read_tensor(const Case& item, const std::string& prefix);
QuantTensor read_tensor(const Case& item, const std::string& prefix, bool is_signed);

/// Bits of a tensor of integers as a recorded case has them.
at::Tensor bit_width_of(const QuantTensor& tensor);
/// The zero point, or 0.
at::Tensor zero_point_of(const QuantTensor& tensor);

}  // namespace laconic::golden
