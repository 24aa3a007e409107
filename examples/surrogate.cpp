// A quantizer that is trained through three gradients of its rounding: only the line with `.let`
// differs. The weights of a small linear map are learned in 3 bits.
#include <ATen/ATen.h>

#include <iostream>

#include "laconic/quant/quantizer/quantize.h"

namespace {

using namespace laconic;

/// Mean squared error of the quantized weights after so many steps of gradient descent.
double train(const QuantSpec& spec) {
  at::manual_seed(1);
  const auto x = at::randn({256, 16}), target = at::matmul(x, at::randn({16, 4}));
  auto weight = (at::randn({4, 16}) * 0.1).set_requires_grad(true);
  const auto loss = [&] {
    return (at::matmul(x, fake_quantize_dynamic(spec, weight).t()) - target).square().mean();
  };
  for (int step = 0; step < 300; ++step) {
    loss().backward();
    weight = (weight.detach() - 0.1 * weight.grad()).set_requires_grad(true);
  }
  return loss().item<double>();
}

}  // namespace

int main() {
  const QuantSpec w3 = QuantSpec{}.let(IntFormat{.bit_width = 3}, PerChannel{.axis = 0});
  std::cout << "straight through: " << train(w3) << "\n"
            << "tanh:             " << train(w3.let(TanhSurrogate{.sharpness = 3})) << "\n"
            << "Fourier:          " << train(w3.let(FourierSurrogate{})) << "\n";
}
