#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/file/gguf/gguf.h"

namespace laconic {

/// Smallest and largest integer q that a block type holds.
///   Q4_0, Q5_0, Q8_0   value = scale * q            q is signed
///   Q4_1, Q5_1         value = scale * q + minimum  q >= 0
struct BlockRange {
  int64_t q_min, q_max;
};
BlockRange block_range(GgufType type);

/// Stores integers as they are, 32 of a row a block.
/// @param q        int8 or uint8 [rows, n], n a multiple of 32, in the type's range.
/// @param scale    float16 [rows, n / 32].
/// @param minimum  float16 [rows, n / 32] for Q4_1 and Q5_1, else undefined.
/// @returns        uint8 [rows, bytes of a row].
/// @throws c10::ValueError for other shapes or dtypes, or a q out of range.
at::Tensor pack_blocks(GgufType type, const at::Tensor& q, const at::Tensor& scale,
                       const at::Tensor& minimum = {});

/// The numbers that llama.cpp gets from stored rows, float32 [rows, n]. All types.
/// @param bytes  uint8 [rows, bytes of a row].
at::Tensor unpack_blocks(GgufType type, const at::Tensor& bytes);

}  // namespace laconic
