#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic {

// Arithmetic of tensors of integers, element by element: the value is that of the operation on the
// values, with its gradient; scale, zero point and bit width are such that the codes of the result
// are the exact integers that hardware gets. Shapes broadcast.
// All throw c10::TypeError for formats other than integers, c10::NotImplementedError for groups.

/// Zero points add up; as many bits as the sums need. @throws c10::ValueError for other scales.
QuantTensor add(const QuantTensor& a, const QuantTensor& b);
QuantTensor subtract(const QuantTensor& a, const QuantTensor& b);

/// A plain tensor moves the zero point by -plain / scale: the codes stay.
QuantTensor add(const QuantTensor& a, const at::Tensor& plain);

/// Scales are multiplied, bit widths add up. @throws c10::ValueError for a zero point.
QuantTensor multiply(const QuantTensor& a, const QuantTensor& b);

/// A plain tensor: products with any real number have no common step.
at::Tensor multiply(const QuantTensor& a, const at::Tensor& plain);

/// The step of the result is that of fixed point division, a.scale / (b.scale * 2^(bits of b, less
/// the sign)), bit widths add up. Quotients seldom lie on it: see is_valid.
/// @throws c10::ValueError for a zero point.
QuantTensor divide(const QuantTensor& a, const QuantTensor& b);

/// Signed: the same bits, so that the negative of the smallest code is not valid (narrow_range has
/// none). Unsigned: signed with one bit more.
QuantTensor negate(const QuantTensor& a);

/// Signed: unsigned with one bit less; the smallest code, unless narrow_range, is then not valid.
/// @throws c10::ValueError for a zero point.
QuantTensor absolute(const QuantTensor& a);

/// max(a, 0) and min(max(a, low), high), for any format and granularity: the quantization data
/// stay. `low` and `high` are to be values of the tensor: see is_valid.
QuantTensor relu(const QuantTensor& a);
QuantTensor clamp(const QuantTensor& a, double low, double high);

/// Whether each value / scale + zero point is a code: within 0.1 (float64), 0.2 (float32) or 0.5
/// (16 bits) of a whole number of the format's range.
bool is_valid(const QuantTensor& a);

}  // namespace laconic
