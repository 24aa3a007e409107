#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace laconic::kernel {

/// The state of one layer while its columns are rounded one after the other. All tensors are
/// contiguous and in panel layout (panels.h): P panels of 64 rows, K columns.
struct GptqColumns {
  at::Tensor weight;      ///< [P, K, 64] float32: w; a rounded column holds w - q instead
  at::Tensor codes;       ///< [P, K, 64] uint8: the low byte of each code
  at::Tensor scale;       ///< [P, G, 64] float32, > 0
  at::Tensor zero_point;  ///< [P, G, 64] float32, or undefined: none
  at::Tensor group;       ///< [K] int64: the column of `scale` that a column of `weight` uses
  float q_min = 0, q_max = 0;
};

/// w_j + sum_{i<begin} (w_i - q_i) F_ij for the columns [begin, end): [P, end - begin, 64] float32.
/// @param feedback  [end, end - begin] float32: F_ij = R_ij / R_jj (feedback_columns).
at::Tensor gptq_current(const GptqColumns& state, const at::Tensor& feedback, int64_t begin,
                        int64_t end);

/// The weights of the columns [begin, end) after the paper's updates for all columns before
/// `begin`: the best real weights that are left, from which scales of a group may be found. With X
/// = w + Y of gptq_current: w + Y (I + F)^-1. Same shape as `current`.
at::Tensor gptq_remaining(const GptqColumns& state, const at::Tensor& feedback,
                          const at::Tensor& current, int64_t begin, int64_t end);

/// Rounds the columns [begin, end) one after the other: q_j = Q(w_j + sum_{i<j} (w_i - q_i) F_ij).
/// @param current  of gptq_current for the same columns; used up.
/// Rows are independent of each other and sums run in the order of the columns, so that the result
/// depends neither on the number of threads nor on how the columns are cut into calls.
void gptq_round(GptqColumns& state, const at::Tensor& feedback, at::Tensor& current, int64_t begin,
                int64_t end);

}  // namespace laconic::kernel
