#pragma once

#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic {

// Pooling of [N, C, H, W] by windows of size x size that do not overlap, unless a stride is given.

struct PoolOptions {
  int64_t size = 2;
  int64_t stride = 0;  ///< 0: the size
  int64_t padding = 0;
};

/// The codes are among those of the operand: the quantization data stay. Any format; a scale per
/// tensor or channel.
QuantTensor max_pool2d(const QuantTensor& a, const PoolOptions& options);

/// The mean of a window is the sum of its codes in steps of scale / size^2: ceil(log2((2^b - 1)
/// size^2)) bits; padding counts as zeros. A truncation brings it back to few bits.
/// @throws c10::TypeError for formats other than integers.
QuantTensor average_pool2d(const QuantTensor& a, const PoolOptions& options);

/// The same to outputs of height x width. @throws c10::NotImplementedError where windows would be
/// of several sizes, so that there is no one step.
QuantTensor adaptive_average_pool2d(const QuantTensor& a, int64_t height, int64_t width);

}  // namespace laconic
