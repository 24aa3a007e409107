#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "laconic/quant/quantizer/quant_spec.h"
#include "options.h"

namespace laconic::golden {

/// A weight's quantizer as a case describes it.
struct WeightQuantizer {
  QuantSpec spec;
  bool is_live = true;      ///< the scale is that of the weight at hand, whatever it becomes
  bool transposed = false;  ///< output channels are dimension 1
};

/// Reads the options of a weight's quantizer; the caller calls `finish`.
WeightQuantizer read_weight_quantizer(Options& options);

/// A weight through its quantizer.
struct QuantizedWeight {
  at::Tensor value, codes;       ///< in the shape of the weight
  at::Tensor scale, zero_point;  ///< as the granularity shapes them; no zero point: undefined
  at::Tensor bit_width;          ///< of integers; of minifloats the mantissa's bits
  std::map<std::string, at::Tensor> parameters;  ///< learned leaves: scale_value, zero_point, ...
};

/// By an nn::Quantizer that is made for the weight.
/// @throws c10::ValueError where the parts contradict each other or do not fit the weight.
QuantizedWeight quantize_weight(const WeightQuantizer& quantizer, const at::Tensor& weight);

/// The scale or zero point in the shape that is recorded: one a weight for groups.
at::Tensor recorded_shape(const WeightQuantizer& quantizer, const at::Tensor& value,
                          const at::Tensor& weight);

}  // namespace laconic::golden
