#include "laconic/quant/rounding/random.h"

#include "laconic/kernel/counter_uniform.h"
#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

at::Tensor uniform(int64_t seed, const at::Tensor& code, const RoundingState& state) {
  const int64_t draw = state.draw.defined() ? state.draw.item<int64_t>() : 0;
  return kernel::counter_uniform({seed, draw}, code);
}

}  // namespace

at::Tensor round_codes(const Stochastic& kind, const at::Tensor& code, const RoundingState& state) {
  const auto plain = code.detach();
  if (kind.only_in_training && !state.is_training) return straight_through(code, plain.round());
  const auto whole = plain.floor();
  const auto up = uniform(kind.seed, plain, state).lt(plain - whole);
  return straight_through(code, whole + up.to(whole.scalar_type()));
}

at::Tensor round_codes(const GaussianNoise& kind, const at::Tensor& code,
                       const RoundingState& state) {
  if (!state.is_training) return straight_through(code, code.detach().round());
  // The middle of each step of the uniform numbers: 0 would be an infinite normal one.
  const auto normal = (uniform(kind.seed, code.detach(), state) * 2 - (1 - 0x1p-24)).erfinv();
  const double root_of_two = 1.4142135623730951;
  return code + (normal * (root_of_two / 2)).round().to(code.scalar_type());
}

}  // namespace laconic
