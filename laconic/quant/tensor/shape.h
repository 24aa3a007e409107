#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "laconic/quant/quantizer/quant_tensor.h"

namespace laconic {

// Operations that move elements and compute nothing: the codes stay, scale and zero point follow
// their elements. For any format. Each throws c10::NotImplementedError where the result has no
// granularity, and says so; negative dimensions count from the end.

/// One dimension may be -1. A scale per channel must keep its axis; groups and tokens do not fit.
QuantTensor reshape(const QuantTensor& a, at::IntArrayRef sizes);
QuantTensor flatten(const QuantTensor& a, int64_t first, int64_t last);

/// A scale per channel or element moves with its axes; groups do not fit.
QuantTensor permute(const QuantTensor& a, at::IntArrayRef dims);
QuantTensor transpose(const QuantTensor& a, int64_t one, int64_t other);

/// `length` indices of `dim` from `start` on; along a grouped axis whole groups only.
QuantTensor narrow(const QuantTensor& a, int64_t dim, int64_t start, int64_t length);
/// One index of `dim`, which goes away. Not along the axis of scales or tokens.
QuantTensor select(const QuantTensor& a, int64_t dim, int64_t index);

/// Along `dim`: one format; scales and zero points are the same, or stand one beside the other
/// where they vary along `dim`.
QuantTensor concatenate(const std::vector<QuantTensor>& parts, int64_t dim);

/// Zeros around, two numbers a dimension from the last one on (low, high). A scale per tensor, or
/// per channel of a dimension that is not padded; 0 must be a code.
QuantTensor pad(const QuantTensor& a, at::IntArrayRef amounts);

// [N, C, H, W], one scale for the whole tensor.
QuantTensor pixel_shuffle(const QuantTensor& a, int64_t factor);
QuantTensor pixel_unshuffle(const QuantTensor& a, int64_t factor);

/// [N, C, H, W], each pixel repeated: nearest. A scale per tensor or channel.
QuantTensor upsample_nearest(const QuantTensor& a, int64_t factor);

}  // namespace laconic
