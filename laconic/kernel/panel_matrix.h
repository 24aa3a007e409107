#pragma once

#include <ATen/core/Tensor.h>

namespace laconic::kernel {

// Products of a matrix in panel layout (panels.h) with a square one, as error feedback needs them.
// Rows are independent and sums run in the order of the columns: results do not depend on the
// number of threads.

/// Y = W M: [P, K, 64].
/// @param panels  [P, K, 64] float32.
/// @param matrix  [K, K] float32.
/// @param upper   M is zero below its diagonal: half of the work.
at::Tensor multiply_panels(const at::Tensor& panels, const at::Tensor& matrix, bool upper);

/// X of X (I + N) = Y, in place.
/// @param panels  [P, K, 64] float32: Y, then X.
/// @param strict  [K, K] float32: N, of which the part above the diagonal is read.
void solve_panels(at::Tensor& panels, const at::Tensor& strict);

}  // namespace laconic::kernel
