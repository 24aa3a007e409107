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

double followed_output_error(const at::Tensor& weight, const at::Tensor& quantized,
                             const FollowedMoments& moments) {
  // X W^T - X~ Q^T = X~ (W - Q)^T + (X - X~) W^T: no difference of large numbers.
  const auto product = [](const at::Tensor& a, const at::Tensor& moment, const at::Tensor& b) {
    return a.matmul(moment).mul_(b).sum(at::kDouble).item<double>();
  };
  const at::Tensor error = weight - quantized;
  const double inputs = product(weight, moments.lost, weight);
  const double difference = product(error, moments.hessian, error) +
                            2 * product(error, moments.mismatch, weight) + inputs;
  const double whole = product(weight, moments.hessian, weight) +
                       2 * product(weight, moments.mismatch, weight) + inputs;
  return difference / whole;
}

}  // namespace laconic
