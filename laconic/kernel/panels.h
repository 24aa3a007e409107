#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace laconic::kernel {

/// Rows that are worked on together, one vector lane a row.
inline constexpr int64_t kPanelRows = 64;

/// The panel layout of a [rows, columns] matrix: [ceil(rows / 64), columns, 64], element (r, c) at
/// [r / 64, c, r % 64]. Vectors run over rows, so that a loop over columns never shuffles lanes.
/// @param matrix  [rows, columns], floating, any strides.
/// @param order   [columns] int64: column c of the result is column order[c] of the matrix;
/// undefined: as they are.
/// @param fill    value of the rows that pad the last panel.
at::Tensor to_panels(const at::Tensor& matrix, const at::Tensor& order = {}, double fill = 0);

/// The way back, without the padding: [rows, columns].
at::Tensor from_panels(const at::Tensor& panels, int64_t rows, const at::Tensor& order = {});

}  // namespace laconic::kernel
