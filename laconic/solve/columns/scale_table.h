#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic::columns {

/// Scales of any granularity in one form: a table [out, groups] and, for each column, its place in
/// the table.
struct ScaleTable {
  at::Tensor scale;       ///< [out, groups] float32
  at::Tensor zero_point;  ///< [out, groups] float32, or undefined
  at::Tensor choice;      ///< [out, groups] float32, or undefined: as QuantParameters has it
  at::Tensor group;       ///< [in] int64
};

/// @param weight  [out, in]: its shape counts.
ScaleTable make_scale_table(const QuantSpec& spec, const QuantParameters& parameters,
                            const at::Tensor& weight);

/// Elements that share a scale along the inputs when the spec groups along them, else 0.
int64_t input_group_size(const QuantSpec& spec);

}  // namespace laconic::columns
