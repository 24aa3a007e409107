#include "laconic/calibrate/bias_correction.h"

#include <ATen/ops/matmul.h>

namespace laconic {

at::Tensor lost_mean(BiasCorrection correction, const at::Tensor& weight,
                     const at::Tensor& quantized, const LayerStatistics& statistics) {
  const at::Tensor exact = weight.to(at::kDouble), mean = statistics.mean.to(at::kDouble);
  at::Tensor lost = at::matmul(exact - quantized.to(at::kDouble), mean);
  if (correction == BiasCorrection::kFloat && statistics.mean_lost.defined())
    lost = lost + at::matmul(exact, statistics.mean_lost.to(at::kDouble));
  return lost.to(at::kFloat);
}

const std::vector<std::string>& bias_correction_words() {
  static const std::vector<std::string> words = {"none", "layer", "float"};
  return words;
}

}  // namespace laconic
