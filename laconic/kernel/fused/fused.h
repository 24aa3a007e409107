#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "laconic/kernel/fused/rule.h"

namespace laconic::kernel {

/// Where the numbers that were found go: [scales] float32, contiguous; undefined: nowhere.
struct FoundNumbers {
  at::Tensor scale, zero_point;
};

/// Finds scale and zero point of every run and quantizes with them: one look at memory where a run
/// fits the cache, else two.
/// @param x       contiguous, float32 or bfloat16, with elements; sums are in float32.
/// @param value   of the same shape and type, contiguous, its own memory: written.
///                Undefined: only numbers are found.
/// @param numbers  written where defined.
/// @returns false when an element is NaN or infinite; then the results mean nothing.
bool quantize_found(const at::Tensor& x, const ScaleRuns& runs, const ElementGrid& grid,
                    const RangeRule& rule, const at::Tensor& value, const FoundNumbers& numbers);

/// (nearest element of (x / scale + zero_point) - zero_point) * scale into `value`; NaN stays NaN.
/// @param scale, zero_point  [scales] float32, contiguous; an undefined zero point is none.
void quantize_given(const at::Tensor& x, const ScaleRuns& runs, const ElementGrid& grid,
                    const at::Tensor& scale, const at::Tensor& zero_point, const at::Tensor& value);

}  // namespace laconic::kernel
