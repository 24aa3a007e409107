#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "laconic/kernel/fused/later_answer.h"
#include "laconic/kernel/fused/rule.h"
#include "laconic/kernel/fused/runs.h"

namespace laconic::kernel {

/// Whether there are loops for the device of `x`: the CPU, and CUDA in builds with LACONIC_CUDA.
bool knows_device(const at::Tensor& x);

/// Where the numbers that were found go: [scales] float32, contiguous; undefined: nowhere.
struct FoundNumbers {
  at::Tensor scale, zero_point;
};

/// The grid that the scales themselves are numbers of, and its scale: one float32 number;
/// undefined: scales are as the rule gives them.
struct CodedScales {
  at::Tensor scale;
  ElementGrid grid;         ///< integers or minifloats above 0
  RangeRule rule;           ///< made `scale` of the largest of the scales
  bool is_clipped = false;  ///< as in QuantizedRuns, for the scales
};

/// Finds scale and zero point of every run and quantizes with them: one look at memory where a run
/// fits the cache, else two.
/// @param x       contiguous, float32 or bfloat16, with elements; sums are in float32.
/// @param value   of the same shape and type, contiguous, its own memory: written.
///                Undefined: only numbers are found.
/// @param numbers  written where defined.
/// @param codes   of scales without zero points.
/// @param later   nullptr: the answer is waited for.
/// @returns false when an element is NaN or infinite, or a range so wide that its scale is; then
///          the results mean nothing. Where the answer is to come later, true.
bool quantize_found(const at::Tensor& x, const ScaleRuns& runs, const ElementGrid& grid,
                    const RangeRule& rule, const at::Tensor& value, const FoundNumbers& numbers,
                    const CodedScales& codes = {}, LaterAnswer* later = nullptr);

/// The rules of scales by the largest magnitude, and of the one scale of these, by any statistic.
struct ScaleRules {
  RangeRule scales, of_scales;
};
/// The one scale of all scales that there can be of `x`, whatever runs it is cut into: it hangs on
/// the largest magnitude alone. One float32 number into `scale`.
/// @returns as quantize_found.
bool find_scale_of_scales(const at::Tensor& x, const ScaleRules& rules, const at::Tensor& scale,
                          LaterAnswer* later = nullptr);

/// Whether there is neither NaN nor infinity in `x`, contiguous, float32 or bfloat16, with
/// elements.
/// @returns as quantize_found.
bool is_finite(const at::Tensor& x, LaterAnswer* later = nullptr);

/// Numbers that are there: [scales] float32, contiguous; an undefined zero point is none.
struct GivenNumbers {
  at::Tensor scale, zero_point;
};

/// (nearest element of (x / scale + zero_point) - zero_point) * scale into `value`; NaN stays NaN.
void quantize_given(const at::Tensor& x, const ScaleRuns& runs, const ElementGrid& grid,
                    const GivenNumbers& numbers, const at::Tensor& value);

/// What a value was made of, and the gradient of it; all contiguous, x and gradient of one type.
struct QuantizedRuns {
  at::Tensor x, gradient;
  ScaleRuns runs;
  ElementGrid grid;              ///< integers or minifloats
  at::Tensor scale, zero_point;  ///< [scales] float32; the zero point may be undefined
  bool is_clipped = false;       ///< nothing flows to x where the ends of the grid are passed
};

/// The extremes that the scales come from: [scales] float32; undefined where none.
struct RunExtremesOf {
  at::Tensor low, high;
  bool of_magnitude = false;  ///< `high` is the largest |x|, there is no `low`
};
RunExtremesOf find_extremes(const at::Tensor& x, const ScaleRuns& runs, bool of_magnitude);

/// Gradients of scale and zero point with x held fixed, and how many elements equal the extremes:
/// [scales] float32.
struct NumberGradients {
  at::Tensor scale, zero_point, low_count, high_count;
};
NumberGradients gradients_of_numbers(const QuantizedRuns& what, const RunExtremesOf& extremes);

/// Gradient of x: through its own code, and where it is an extreme the share that is given for each
/// such element ([scales], times the sign of x for magnitudes).
at::Tensor gradient_of_input(const QuantizedRuns& what, const RunExtremesOf& extremes,
                             const at::Tensor& low_share, const at::Tensor& high_share);

/// Whether `gradient_of_found` knows it: runs of numbers of their own that fit the cache, on CUDA
/// the registers of a block of threads. And on CUDA all scales found of magnitudes that are not
/// coded.
/// @param codes  undefined scale: none
bool knows_found_gradient(const at::Tensor& x, const ScaleRuns& runs, const RangeRule& rule,
                          const CodedScales& codes = {});

/// Gradient of x through its codes and through the numbers that the rule found of it: in one look
/// at memory, on CUDA in two where no block of threads holds a run.
at::Tensor gradient_of_found(const QuantizedRuns& what, const RangeRule& rule,
                             const CodedScales& codes = {});

}  // namespace laconic::kernel
