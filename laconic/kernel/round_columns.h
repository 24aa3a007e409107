#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace laconic::kernel {

/// A format as a staircase over real numbers in units of the scale: x becomes levels[k], k the
/// number of thresholds below x. Several staircases, of which each scale has one, are the rows of
/// [tables, n] tensors; where they are shorter the last level is repeated behind thresholds of
/// infinity.
struct Staircase {
  at::Tensor levels;      ///< [n] float32, rising; undefined: whole numbers from q_min to q_max
  at::Tensor thresholds;  ///< [n - 1] float32: the largest number that still falls to level k
  at::Tensor codes;       ///< [n] int32: the bit pattern of each level
};

/// Bounds on the sums of a tile's codes, so that a tile's dot product with any input fits its
/// accumulator. All in panel layout, one number a row and tile.
struct TileBudget {
  at::Tensor threshold;           ///< [P, tiles, 64] float32 >= 0, code units: magnitudes shrink by
                                  ///< it; undefined: no budget
  at::Tensor positive, negative;  ///< [P, tiles, 64] float32: sums of the codes chosen so far
  at::Tensor tile;                ///< [K] int64: the tile of each column
  float input_low = 0, input_high = 0;  ///< smallest (<= 0) and largest (> 0) code of the input
  float limit = 0;                      ///< largest magnitude that the accumulator holds
};

/// The state of one layer while its columns are rounded one after the other. All tensors are
/// contiguous and in panel layout (panels.h): P panels of 64 rows, K columns.
struct RoundingColumns {
  at::Tensor weight;      ///< [P, K, 64] float32: w; a rounded column holds w - q instead
  at::Tensor base;        ///< [P, K, 64] float32: what a column is before feedback; undefined: w
  at::Tensor codes;       ///< [P, K, 64] uint8: the low byte of each code
  at::Tensor scale;       ///< [P, G, 64] float32, > 0
  at::Tensor zero_point;  ///< [P, G, 64] float32, or undefined: none
  at::Tensor group;       ///< [K] int64: the column of `scale` that a column of `weight` uses
  float q_min = 0, q_max = 0;
  Staircase staircase = {};
  at::Tensor choice = {};  ///< [P, G, 64] int32: the row of `staircase` that a scale has;
                           ///< undefined: there is but one
  TileBudget budget = {};  ///< of whole numbers without a zero point
};

/// base_j + sum_{i<begin} (w_i - q_i) F_ij for the columns [begin, end): [P, end - begin, 64]
/// float32.
/// @param feedback  [end, end - begin] float32: F_ij, 0 where i >= j.
at::Tensor current_columns(const RoundingColumns& state, const at::Tensor& feedback, int64_t begin,
                           int64_t end);

/// What the columns [begin, end) would be if none of them lost anything by rounding: the best real
/// weights that are left, from which scales of a group may be found. With X of current_columns:
/// w + (X - w) (I + F)^-1. Same shape as `current`.
at::Tensor remaining_columns(const RoundingColumns& state, const at::Tensor& feedback,
                             const at::Tensor& current, int64_t begin, int64_t end);

/// Rounds the columns [begin, end) one after the other: q_j = Q(base_j + sum_{i<j} (w_i - q_i)
/// F_ij).
/// @param current  of current_columns for the same columns; used up.
/// Rows are independent of each other and sums run in the order of the columns, so that the result
/// depends neither on the number of threads nor on how the columns are cut into calls.
void round_columns(RoundingColumns& state, const at::Tensor& feedback, at::Tensor& current,
                   int64_t begin, int64_t end);

}  // namespace laconic::kernel
