// A rounding, a statistic (a rule of the scale) and a gradient of one's own, used by `.let`, and by
// recipes: the program is `laconic` with three more words. What they take is these 30 lines.
//
//   own_part                                                 quantizes a small tensor
//   own_part quantize MODEL --recipe own_part.yaml --out DIR
#include <ATen/ATen.h>

#include <iostream>

#include "laconic/cli/program.h"
#include "laconic/quant/quantizer/yaml.h"

namespace {

using namespace laconic;

/// Up from this fraction on: 0.5 rounds half up, 0.3 prefers the larger code.
at::Tensor round_from(const CustomParameters& numbers, const at::Tensor& code) {
  return (code + (1 - numbers.at("fraction"))).floor();
}

/// So many times the root mean square of what shares a scale.
at::Tensor times_rms(const CustomParameters& numbers, const at::Tensor& rows) {
  return rows.square().mean(1).sqrt() * numbers.at("times");
}

/// What is clipped still moves, by a part of its gradient.
at::Tensor leaky(const CustomParameters& numbers, const at::Tensor& code, const at::Tensor& q_min,
                 const at::Tensor& q_max) {
  const auto inside = code.detach().clamp(q_min, q_max),
             part = (code - inside) * numbers.at("part");
  return inside + at::where(code.eq(inside), code - inside, part - part.detach());
}

const CustomRounding kRoundFrom{"round_from", {{"fraction", 0.5}}, round_from};
const CustomStatistic kTimesRms{"times_rms", {{"times", 3}}, times_rms};
const CustomGradient kLeaky{"leaky", {{"part", 0.1}}, leaky};

void show(const Parts& parts) {
  const QuantSpec spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, kTimesRms.with("times", 1.8),
                                         kRoundFrom.with("fraction", 0.4), kLeaky);
  const QuantSpec read = quant_spec_from_yaml(to_yaml(spec), "own_part", parts.quantizers);
  const auto x = at::linspace(-1, 1, 9).set_requires_grad(true);
  const auto value = fake_quantize(spec, x, {at::full({}, 0.1), {}});
  value.sum().backward();
  std::cout << to_string(spec) << "\nreads back: " << (read == spec ? "equal" : "different")
            << "\nvalues: " << value.detach() << "\ngradient: " << x.grad() << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  laconic::Parts parts;
  parts.quantizers.roundings = {kRoundFrom};
  parts.quantizers.statistics = {kTimesRms};
  parts.quantizers.gradients = {kLeaky};
  if (argc == 1) return show(parts), 0;
  return laconic::run_program(argc, argv, parts);
}
