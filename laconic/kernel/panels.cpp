#include "laconic/kernel/panels.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

namespace laconic::kernel {

at::Tensor to_panels(const at::Tensor& matrix, const at::Tensor& order, double fill) {
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  const int64_t panels = (rows + kPanelRows - 1) / kPanelRows;
  const at::Tensor ordered = order.defined() ? matrix.index_select(1, order) : matrix;
  at::Tensor result = at::empty({panels, columns, kPanelRows}, matrix.options());
  const int64_t whole = rows / kPanelRows, rest = rows % kPanelRows;
  if (whole > 0) {
    const at::Tensor part =
        ordered.narrow(0, 0, whole * kPanelRows).reshape({whole, kPanelRows, columns});
    result.narrow(0, 0, whole).copy_(part.transpose(1, 2));
  }
  if (rest > 0) {
    at::Tensor last = result.select(0, whole);
    last.fill_(fill);
    last.narrow(1, 0, rest).copy_(ordered.narrow(0, whole * kPanelRows, rest).t());
  }
  return result;
}

at::Tensor from_panels(const at::Tensor& panels, int64_t rows, const at::Tensor& order) {
  const int64_t columns = panels.size(1);
  const at::Tensor matrix = panels.transpose(1, 2).reshape({-1, columns}).narrow(0, 0, rows);
  if (!order.defined()) return matrix.contiguous();
  at::Tensor result = at::empty({rows, columns}, panels.options());
  result.index_copy_(1, order, matrix);
  return result;
}

}  // namespace laconic::kernel
