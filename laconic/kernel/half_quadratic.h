#pragma once

#include <ATen/core/Tensor.h>

namespace laconic::kernel {

/// Half-quadratic search of scales by integer codes, one scale a row (quantizer/search.h says what
/// it minimises): scale and zero point, [rows] float32, and what a round knows of the one before.
struct HalfQuadraticState {
  at::Tensor scale;
  at::Tensor zero_point;  ///< whole numbers; undefined: none
  at::Tensor shift;       ///< [rows] float32: of the last round; 0 to begin with
  at::Tensor width;       ///< [rows] float32: of the search for the next; 0 to begin with
  float q_min = 0, q_max = 0, p = 0.7f;
};

/// One round: every scale's `shift` becomes the median over the row of the quotients (x - W) /
/// (code - zero point) less the scale, of codes other than the zero point, where W is what
/// shrinking the error by |error|^(p-1) / beta leaves; NaN without such codes.
/// @param x  [rows, n] float32, contiguous, finite.
/// @returns  the sum of |error| over all elements, before the round.
///
/// The quotient less the scale is min(u, u^(p-1) / beta) / |code - zero point| with a sign, u the
/// size of the error. So no power of an element is needed: a window around the last median is kept,
/// and the elements above its two ends are counted by comparing u with the powers of the ends. In
/// rows of 256 elements or more the median is the window's number that has half of the elements
/// above it when those inside, a sixteenth of all at most, are taken as spread evenly.
double half_quadratic_round(const at::Tensor& x, HalfQuadraticState& state, double beta);

}  // namespace laconic::kernel
