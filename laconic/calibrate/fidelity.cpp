#include "laconic/calibrate/fidelity.h"

#include <cmath>

namespace laconic {

double signal_to_noise_db(const at::Tensor& weight, const at::Tensor& quantized) {
  const double signal = weight.square().sum(at::kDouble).item<double>();
  const double noise = (weight - quantized).square_().sum(at::kDouble).item<double>();
  return 10 * std::log10(signal / noise);
}

double relative_output_error(const at::Tensor& weight, const at::Tensor& quantized,
                             const at::Tensor& hessian) {
  const at::Tensor error = weight - quantized;
  const double difference = error.matmul(hessian).mul_(error).sum(at::kDouble).item<double>();
  const double whole = weight.matmul(hessian).mul_(weight).sum(at::kDouble).item<double>();
  return difference / whole;
}

}  // namespace laconic
