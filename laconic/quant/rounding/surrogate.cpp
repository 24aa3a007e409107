#include "laconic/quant/rounding/surrogate.h"

#include <ATen/core/Tensor.h>

#include <cmath>

namespace laconic {

at::Tensor rounding_slope(const TanhSurrogate& kind, const at::Tensor& code) {
  const double k = kind.sharpness;
  const auto from_middle = code - code.floor() - 0.5;
  return (1 - (from_middle * k).tanh().square()) * (k / (2 * std::tanh(k / 2)));
}

at::Tensor rounding_slope(const FourierSurrogate& kind, const at::Tensor& code) {
  // Whole turns taken away: the angle is as precise for large codes as for small ones.
  const double pi = 3.14159265358979323846;
  const auto angle = (code - code.round()) * pi;
  return (angle.cos() * kind.amplitude + 1).reciprocal() * 2 - 1;
}

}  // namespace laconic
