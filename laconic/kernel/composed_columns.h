#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/kernel/reverse_cholesky.h"
#include "laconic/kernel/round_columns.h"

/// What reverse_cholesky.h, round_columns.h and panel_matrix.h do, in LibTorch's operations: on any
/// device, and on the CPU what their loops are tested against. Sums run in the device's own order.
namespace laconic::kernel::composed {

ReverseCholesky reverse_cholesky(const at::Tensor& hessian, const at::Tensor& diagonal,
                                 const at::Tensor& order, at::ScalarType dtype);
at::Tensor feedback_columns(const ReverseCholesky& factor, int64_t begin, int64_t end);
at::Tensor squared_pivots(const ReverseCholesky& factor);

at::Tensor current_columns(const RoundingColumns& state, const at::Tensor& feedback, int64_t begin,
                           int64_t end);
at::Tensor remaining_columns(const at::Tensor& weight, const at::Tensor& feedback,
                             const at::Tensor& current, int64_t begin, int64_t end);
/// @throws c10::ValueError for a budget of tiles, of which only the CPU has loops.
void round_columns(RoundingColumns& state, const at::Tensor& feedback, at::Tensor& current,
                   int64_t begin, int64_t end);

at::Tensor multiply_panels(const at::Tensor& panels, const at::Tensor& matrix);
void solve_panels(at::Tensor& panels, const at::Tensor& strict);

}  // namespace laconic::kernel::composed
