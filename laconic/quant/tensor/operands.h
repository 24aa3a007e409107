#pragma once

#include <string_view>

#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic {

// What the arithmetic of quantized tensors asks of its operands. `where` is the operation.

/// The format of a tensor of integers. @throws c10::TypeError for others: they have no common step.
const IntFormat& integers_of(std::string_view where, const QuantTensor& tensor);

/// Codes of a tensor of `format` bits: smallest to largest, as many bits as accumulators have.
CodeRange wide_code_range(const IntFormat& format);

/// The least integers that hold all of `range`; at most 62 bits.
IntFormat integers_for(std::string_view where, const CodeRange& range, bool is_signed);

/// The zero point, or 0 in the shape of the scale.
at::Tensor zero_or_none(const QuantTensor& tensor);
bool is_symmetric(const QuantTensor& tensor);

/// @throws c10::ValueError unless each scale is as close as rounding makes it.
void check_same_scale(std::string_view where, const QuantTensor& a, const QuantTensor& b);
/// @throws c10::ValueError for a zero point other than 0.
void check_symmetric(std::string_view where, const QuantTensor& tensor);
/// @throws c10::NotImplementedError where elements are grouped, so that the scale does not
/// broadcast against the value.
void check_ungrouped(std::string_view where, const QuantTensor& tensor);

/// Which elements of a tensor of `sizes` share a scale that broadcasts against them: one for all,
/// one for each index of an axis, one for each vector, or one for each element.
Granularity granularity_of_scale(const at::Tensor& scale, at::IntArrayRef sizes);

/// Another value in the same format, by the same scale and zero point.
QuantTensor with_value(const QuantTensor& tensor, const at::Tensor& value);

/// A tensor of integers whose scale broadcasts against the value.
QuantTensor integer_tensor(const at::Tensor& value, const at::Tensor& scale,
                           const at::Tensor& zero_point, const IntFormat& format);

}  // namespace laconic
