#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "laconic/file/gguf/gguf.h"

namespace laconic {

/// Block types with scales of scales, with a table, or of one number for 256 codes:
///   Q3_K, Q6_K         value = (unit * scale) * q
///   Q2_K, Q4_K, Q5_K   value = (unit * scale) * q - minimum_unit * minimum
///   TQ1_0, TQ2_0       value = unit * q
///   IQ4_NL             value = unit * table[q]
///   MXFP4              value = 2^(unit - 127) * table[q], unit a byte
///   NVFP4              value = e4m3(scale) * table[q], scale the seven bits of a positive e4m3
struct SuperBlockShape {
  GgufType type;
  int64_t length;  ///< codes of a block: 256, 32
  int64_t group;   ///< consecutive codes with one scale; `length`: no scales of scales
  int64_t q_min, q_max;
  int64_t scale_min = 0, scale_max = 0;  ///< of scales
  int64_t minimum_max = 0;               ///< of minima; 0: there are none
  bool has_table = false;                ///< q is a place in `table_of`
};
/// nullptr for other types.
const SuperBlockShape* find_super_block(GgufType type);
/// The numbers of IQ4_NL, and of MXFP4 and NVFP4, by code.
const std::vector<double>& table_of(GgufType type);

/// What a file stores of rows of such a type, row by row.
struct SuperBlocks {
  at::Tensor q;                         ///< integers [rows, n], n a multiple of `length`
  at::Tensor scale = {}, minimum = {};  ///< integers [rows, n / group] where the type has them
  at::Tensor unit = {},
             minimum_unit = {};  ///< float16 (MXFP4: uint8) [rows, n / length]; not NVFP4
};

/// @returns uint8 [rows, bytes of a row].
/// @throws c10::ValueError for other shapes or dtypes, or an integer out of range.
at::Tensor pack_super_blocks(GgufType type, const SuperBlocks& blocks);

/// The numbers that llama.cpp gets from stored rows, float32 [rows, n].
at::Tensor unpack_super_blocks(GgufType type, const at::Tensor& bytes);

}  // namespace laconic
