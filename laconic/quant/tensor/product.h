#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic {

// Products of tensors of integers, as an integer unit computes them: the scale of the result is the
// product of the scales, its zero point 0, its format the accumulator. Each output is the sum of k
// products, which needs ceil(log2((2^b - 1) (2^w - 1) k)) bits, b and w those of the operands.
// All throw c10::TypeError for formats other than integers, c10::NotImplementedError for groups and
// for scales that vary along what is summed, c10::ValueError for a zero point other than 0.

/// [..., m, k] x [..., k, n]. Scales may vary along m (tokens) and n (channels).
QuantTensor matmul(const QuantTensor& a, const QuantTensor& b);

/// [..., in] and [out, in] -> [..., out].
QuantTensor linear(const QuantTensor& x, const QuantTensor& weight);

struct ConvolutionOptions {
  std::vector<int64_t> stride = {1}, padding = {0}, dilation = {1};  ///< one number a dimension
  std::vector<int64_t> output_padding = {0};                         ///< transposed only
  int64_t groups = 1;
  bool is_transposed = false;
};

/// [N, in, ...] and [out, in / groups, ...], or [in, out / groups, ...] when transposed, of 1 to 3
/// spatial dimensions. The weight's scales may vary along its outputs; one number in an option
/// counts for all dimensions.
QuantTensor convolution(const QuantTensor& x, const QuantTensor& weight,
                        const ConvolutionOptions& options = {});

/// A bias on the channels of a result of the above (the last dimension of linear, the first after
/// the batch of a convolution): one bit more than the wider of both.
/// @param bias  [channels], with the scale of `accumulator` (quantize_bias).
/// @param dim   the channels' dimension.
QuantTensor add_bias(const QuantTensor& accumulator, const QuantTensor& bias, int64_t dim);

/// A plain bias moves the zero point: -bias / scale.
QuantTensor add_bias(const QuantTensor& accumulator, const at::Tensor& bias, int64_t dim);

}  // namespace laconic
