// GPTQ of one square layer, 4 bits: the blocked kernel beside the paper's column loop in ATen
// operations.
#include <ATen/ops/randn.h>

#include "bench/micro/ratio.h"
#include "laconic/solve/gptq/gptq.h"
#include "laconic/solve/gptq/reference.h"

namespace laconic {
namespace {

/// Arguments: size, and the group size (0: one scale a channel).
void solve_layer(benchmark::State& state) {
  const int64_t size = state.range(0), group_size = state.range(1);
  const at::Tensor x = at::randn({2 * size, size});
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 4};
  spec.granularity = PerChannel{0};
  if (group_size > 0) spec.granularity = PerGroup{.axis = 1, .group_size = group_size};
  const LayerProblem problem{.name = "layer",
                             .weight = at::randn({size, size}),
                             .spec = spec,
                             .hessian = x.t().matmul(x) / (2 * size),
                             .importance = {}};
  bench::compare(
      state, [&] { gptq::solve(problem, {}); }, [&] { gptq::solve_reference(problem, {}); });
}
BENCHMARK(solve_layer)
    ->Args({512, 0})
    ->Args({512, 128})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace laconic
