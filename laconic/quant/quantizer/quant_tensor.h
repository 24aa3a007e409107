#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// A quantized tensor: what it is worth, and all that is needed to export it.
struct QuantTensor {
  at::Tensor value;  ///< (code - zero_point) * scale in the shape of the tensor; dtype of `scale`
  at::Tensor scale;  ///< real units a code; shape: QuantParameters
  at::Tensor zero_point;    ///< in codes, shape of `scale`; undefined when symmetric
  Format format;            ///< which codes there are
  Granularity granularity;  ///< which elements share a scale
};

/// `x` quantized with these parameters, with the gradient of `fake_quantize`. `value` is as precise
/// as the scale also when `x` is of half precision: codes can be told from it.
QuantTensor quantize(const QuantSpec& spec, const at::Tensor& x, const QuantParameters& parameters);

/// The same with the parameters of `x` itself. @throws as find_parameters.
QuantTensor quantize(const QuantSpec& spec, const at::Tensor& x);

/// The codes, in the shape of `value`: int8 (signed, up to 8 bits), uint8 (unsigned), int32 or, for
/// accumulators of more bits, int64. Exact: the same as quantize_codes gives for the tensor that
/// was quantized (beside a zero point but for the sign of an element 0); of an accumulator as exact
/// as the value holds it.
at::Tensor codes_of(const QuantTensor& tensor);

}  // namespace laconic
