#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "laconic/quant/quantizer/norm.h"
#include "laconic/quant/quantizer/quant_tensor.h"
#include "laconic/quant/quantizer/range.h"
#include "laconic/quant/quantizer/running.h"

namespace laconic::nn {

/// A quantizer of one tensor as a Module: a spec and the state that it asks for.
///
/// In training mode RunningScale, StaticScale and a LearnedScale that collects take each tensor
/// into their averages and quantize it by itself; evaluation uses what is there and changes
/// nothing. The state dict has, of these, what the spec has a use for:
///
/// Parameters: scale_value, the statistic in the domain of its restriction (log2 for log_float and
/// power_of_two); zero_point, where the range begins, real units, its sign does not matter;
/// bit_width_offset and mantissa_bits_offset, bits over the minimum; affine_weight and affine_bias,
/// factor and summand of the statistic; norm_value, the norm of weight_norm and its log2 of
/// accumulator; prenorm_scale_value, log2 of the scale that finds the codes; rounding_value, of a
/// learned rounding, in the shape of the tensor.
/// Buffers: running_statistic and running_minimum, averages over training batches, real units;
/// static_scale and static_zero_point; collected_steps (int64), training batches in the averages;
/// initialized and rounding_initialized (bool), whether the parameters hold something;
/// rounding_draw (int64), training steps of a random rounding.
class QuantizerImpl : public torch::nn::Cloneable<QuantizerImpl> {
 public:
  /// For tensors like `example`, from which learned parameters begin (unless batches are collected
  /// for them).
  /// @throws c10::ValueError as find_parameters.
  QuantizerImpl(QuantSpec spec, const at::Tensor& example);

  /// For tensors of this shape; learned parameters begin at the first tensor that comes. Sizes
  /// along which one scale is shared may differ later.
  QuantizerImpl(QuantSpec spec, at::IntArrayRef shape, at::ScalarType dtype = at::kFloat);

  const QuantSpec& spec() const { return spec_; }

  /// Bits of the codes, of minifloats the mantissa's: 0-dim, with the gradient of a learned width.
  at::Tensor bit_width() const;

  /// `x` quantized, with the gradients of the spec to `x` and to the learned parameters.
  /// @throws c10::ValueError for NaN or infinity (NonFinite::kRefuse), for a tensor whose scales
  /// have
  ///         another shape than the state, and in evaluation when nothing was collected yet.
  QuantTensor forward(const at::Tensor& x);

  /// Scale and zero point for `x`; in training mode `x` is taken into the averages.
  QuantParameters parameters_of(const at::Tensor& x);

  void reset() override;

 private:
  void register_numbers();
  void register_rounding();
  bool keeps_numbers() const;
  void check_shape(const at::Tensor& x) const;
  QuantParameters numbers_of(const at::Tensor& x);
  RoundingState rounding_of(const at::Tensor& x, const QuantParameters& numbers);
  void begin_with(const at::Tensor& x);
  bool is_collecting() const;
  void take_average(const at::Tensor& average, const at::Tensor& found, double momentum);
  void finish_collecting();
  at::Tensor find_scale(const ScaleRule& rule, const at::Tensor& x, const CodeSpan& span);
  at::Tensor scale_of_parameter(const ScaleRule& rule, const at::Tensor& stored,
                                const CodeSpan& span) const;
  at::Tensor live_scale(const ScaleRule& rule, const at::Tensor& statistic, const CodeSpan& span);
  at::Tensor averaged_scale(const ScaleRule& rule, const CodeSpan& span);
  at::Tensor running_scale(const RunningScale& rule, const at::Tensor& x, const CodeSpan& span);
  at::Tensor collected_scale(const LearnedScale& rule, const at::Tensor& x, const CodeSpan& span);
  at::Tensor find_zero_point(const at::Tensor& x, const at::Tensor& scale, const CodeSpan& span);
  at::Tensor minimum_for(const at::Tensor& x, const at::Tensor& scale);
  QuantParameters static_parameters(const at::Tensor& x);
  bool averages_minimum() const;
  bool learns_minimum() const;

  QuantSpec spec_;
  std::vector<int64_t> tensor_shape_, shape_;  ///< of the tensor, and of its scale
  at::ScalarType dtype_;
  at::Tensor scale_value_, zero_point_, bit_width_offset_, affine_weight_, affine_bias_;
  NormState norm_;
  RoundingState rounding_;
  at::Tensor running_statistic_, running_minimum_, static_scale_, static_zero_point_;
  at::Tensor collected_steps_, initialized_, rounding_initialized_;
  std::optional<RunningRange> static_range_;  ///< the windows of this run so far
};
TORCH_MODULE(Quantizer);

}  // namespace laconic::nn
