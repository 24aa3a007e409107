#pragma once

#include <ATen/core/Tensor.h>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// The numbers of a quantizer for one tensor.
/// Shapes broadcast against the grouped view of the tensor: per tensor []; per channel on axis a: 1
/// everywhere but at a ([N, 1] for a weight [N, K] and axis 0); per group on axis a: the axis is
/// split into (groups, 1) ([N, groups, 1] for axis 1); per token [..., 1].
struct QuantParameters {
  at::Tensor scale;  ///< real units per code, > 0, floating
  at::Tensor
      zero_point;  ///< in codes (whole or, for a float zero point, not); undefined when symmetric
  RoundingState rounding = {};  ///< of roundings that keep something, in the shape of the tensor
  /// What codes are found with where that differs from the scale and zero point of the values
  /// (DecoupledScale, norms); undefined: the same.
  at::Tensor code_scale = {}, code_zero_point = {};
  at::Tensor bit_width = {};  ///< 0-dim, learned bits (of minifloats the mantissa's); undefined:
                              ///< the format's
  /// Which table of a ChoiceFormat each scale has: its place, uint8 in the shape of the scale;
  /// undefined for other formats.
  at::Tensor choice = {};
  /// Scales of the planes of a PlaneSumFormat after the first, [planes - 1, shape of the scale];
  /// undefined for other formats.
  at::Tensor plane_scales = {};
};

/// @throws c10::TypeError unless `x` is floating; c10::ValueError for NaN or infinity in it, with
/// how many.
void check_quantizable(const at::Tensor& x);

/// Finds scale and zero point of `x` by the spec's statistic.
/// @param importance  same shape as `x` or broadcastable to it, >= 0; weights the squared error of
/// a
///                    search (Mse); other statistics ignore it. Undefined: all ones.
/// @throws c10::ValueError for NaN or infinity in `x`, or a shape the granularity does not fit.
QuantParameters find_parameters(const QuantSpec& spec, const at::Tensor& x,
                                const at::Tensor& importance = {});

/// The code of clamp(round(x / scale + zero_point), q_min, q_max) in the shape of `x`: int8 for
/// signed integers of at most 8 bits, uint8 for other codes of at most 8 bits (of formats other
/// than integers these are bit patterns), else int32. No gradient.
/// @throws c10::ValueError for NaN or infinity that the format has no code for.
at::Tensor quantize_codes(const QuantSpec& spec, const at::Tensor& x,
                          const QuantParameters& parameters);

/// (decode(codes) - zero_point) * scale in the shape of `codes` and the dtype of the scale.
at::Tensor dequantize(const QuantSpec& spec, const at::Tensor& codes,
                      const QuantParameters& parameters);

/// dequantize(quantize_codes(x)) with the spec's gradient with respect to x, scale and zero point;
/// the dtype of `x`. NaN stays NaN, and infinity becomes NaN unless the format has it. Uses the
/// fused kernel when the parts are known to it; equal bit for bit to the composed path.
at::Tensor fake_quantize(const QuantSpec& spec, const at::Tensor& x,
                         const QuantParameters& parameters);

/// The meaning: ATen operations only.
at::Tensor fake_quantize_composed(const QuantSpec& spec, const at::Tensor& x,
                                  const QuantParameters& parameters);

/// Finds the parameters and quantizes with them: dynamic activations, round-to-nearest weights.
at::Tensor fake_quantize_dynamic(const QuantSpec& spec, const at::Tensor& x);

/// The same into memory that is there: `value` has the shape, dtype and device of `x`. No gradient.
/// @throws as find_parameters, and c10::ValueError for other memory. When it throws, `value` may
/// hold anything.
void fake_quantize_dynamic_out(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& value);

}  // namespace laconic
