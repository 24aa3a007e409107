#pragma once

#include <ATen/core/ATen_fwd.h>

#include <cstdint>

namespace laconic {

/// Packs each row of `codes` into a little-endian bit stream: code i takes bits [i * bits, i * bits
/// + bits).
///
/// @param codes  [rows, columns] integer, each in [0, 2^bits); other bits of a code are not looked
/// at (masked).
/// @param bits   1 to 16.
/// @returns      uint8 [rows, ceil(columns * bits / 8)]; the unused bits of the last byte are 0.
/// @throws c10::ValueError for another shape or number of bits.
at::Tensor pack_rows(const at::Tensor& codes, int64_t bits);

/// Back: int32 [rows, columns].
/// @throws c10::ValueError when `packed` is not uint8 [rows, ceil(columns * bits / 8)].
at::Tensor unpack_rows(const at::Tensor& packed, int64_t bits, int64_t columns);

/// The same stream in 32-bit words: int32 [rows, ceil(columns * bits / 32)] (compressed-tensors).
at::Tensor pack_rows_to_words(const at::Tensor& codes, int64_t bits);

}  // namespace laconic
