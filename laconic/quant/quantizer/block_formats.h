#pragma once

#include <cstdint>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

// Block formats as quantizers: groups of consecutive elements of the last axis, whose scales are
// themselves of few bits. Each is a plain composition; `.let` changes any part.

/// How the shared power of two of a block is found.
enum class BlockScale {
  kOcp,      ///< floor(log2 absmax) - floor(log2 largest element): may clip (MX 1.0)
  kFloor,    ///< floor(log2(absmax / largest)): may clip
  kCeil,     ///< ceil(log2(absmax / largest)): never clips
  kNearest,  ///< the nearest power of absmax / largest
};

/// MX: `group_size` elements of `format` (e4m3, e5m2, e3m2, e2m3, e2m1, or IntFormat{8} for MXINT8)
/// under an e8m0 scale.
QuantSpec mx(const Format& format, BlockScale rule = BlockScale::kOcp, int64_t group_size = 32);

/// NVFP4: 16 elements of e2m1 under an e4m3 scale, the scales under one float scale.
QuantSpec nvfp4();

/// Block floating point: signed integers of `bit_width` bits under one exponent a block, which
/// holds the largest element without clipping.
QuantSpec block_float(int64_t bit_width, int64_t group_size);

/// GGUF's symmetric super-blocks: `block` elements of `bits` bits a scale; `blocks` scales of
/// `scale_bits` bits a super-block, under a float16 (Q3_K: 3, 16, 6; Q6_K: 6, 16, 8).
struct SuperBlock {
  int64_t bits = 6, block = 16, scale_bits = 8, blocks = 16;
};
QuantSpec super_block(const SuperBlock& shape);

/// GGUF's super-blocks with minima: scales and minima of `scale_bits` unsigned bits, each under a
/// float16 (Q4_K: 4, 32, 6, 8; Q5_K: 5, 32, 6, 8; Q2_K: 2, 16, 4, 16).
QuantSpec super_block_with_minimum(const SuperBlock& shape);

/// Double quantization (QLoRA): blocks of 64 of nf4; the scales of `group_size` blocks of the whole
/// tensor's rows as 8-bit integers under a float scale.
QuantSpec double_quantized_nf4(int64_t group_size = 256);

}  // namespace laconic
