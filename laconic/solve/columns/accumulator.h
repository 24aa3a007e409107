#pragma once

#include "laconic/kernel/round_columns.h"
#include "laconic/solve/columns/options.h"
#include "laconic/solve/columns/scale_table.h"
#include "laconic/solve/solve.h"

namespace laconic::columns {

/// What each tile of inputs may still take, before any code is chosen.
/// @param weight  [out, in] float32.
/// @param order   [in] int64 of the columns, or undefined: natural.
/// @throws c10::ValueError naming the layer: an input that is not quantized to integers (its codes
/// say how large a dot product can be), weights that are not integers or have a zero point.
kernel::TileBudget tile_budget(const char* solver, const LayerProblem& problem,
                               const Accumulator& accumulator, const at::Tensor& weight,
                               const ScaleTable& scales, const at::Tensor& order);

/// The number by which magnitudes shrink when a vector is projected onto the ball of sum |x| <=
/// radius; 0 inside of it.
/// @param x  [..., n] floating. @returns [...].
at::Tensor projection_threshold(const at::Tensor& x, double radius);

}  // namespace laconic::columns
