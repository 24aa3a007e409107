#include <ATen/ATen.h>

#include <iostream>

#include "laconic/quant/quantizer/quantize.h"

int main() {
  const auto weight = at::linspace(-1, 1, 64).reshape({4, 16});
  const auto spec =
      laconic::QuantSpec{}.let(laconic::IntFormat{.bit_width = 4}, laconic::PerChannel{.axis = 0});
  const auto quantized =
      laconic::fake_quantize(spec, weight, laconic::find_parameters(spec, weight));
  std::cout << to_string(spec) << ": largest error "
            << (quantized - weight).abs().max().item<float>() << "\n";
}
