#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "laconic/calibrate/engine.h"

namespace laconic {

/// What the mean of a layer's output lacks on the calibration windows, [out] float32: kLayer
/// (W - Q) mean(x~), kFloat W mean(x) - Q mean(x~), with inputs x of the float network and x~ of
/// the quantized one. Added to the bias, it makes the mean error 0 to rounding. Paper: Nagel et al.
/// 2019, arXiv:1906.04721, section 4.2, on data.
/// @param quantized   Q, [out, in] float32.
/// @param statistics  of the layer's input, with its mean; without `mean_lost` x is x~.
at::Tensor lost_mean(BiasCorrection correction, const at::Tensor& weight,
                     const at::Tensor& quantized, const LayerStatistics& statistics);

/// Words of recipes, in the order of the enumeration.
const std::vector<std::string>& bias_correction_words();

}  // namespace laconic
