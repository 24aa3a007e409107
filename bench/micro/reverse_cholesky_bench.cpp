// The factor that GPTQ needs: ours beside LibTorch's Cholesky, inverse and Cholesky again, as the
// paper has it.
#include <ATen/ops/arange.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/randn.h>

#include <tuple>

#include "bench/micro/ratio.h"
#include "laconic/kernel/reverse_cholesky.h"

namespace laconic {
namespace {

void reverse_cholesky(benchmark::State& state) {
  const int64_t size = state.range(0);
  const at::Tensor x = at::randn({2 * size, size});
  const at::Tensor hessian = x.t().matmul(x) / (2 * size);
  const at::Tensor diagonal = hessian.diagonal().to(at::kDouble) + 0.01;
  const at::Tensor order = at::arange(size, at::kLong);
  bench::compare(
      state, [&] { kernel::reverse_cholesky(hessian, diagonal, order, at::kFloat); },
      [&] {
        const at::Tensor lower = std::get<0>(at::linalg_cholesky_ex(hessian));
        at::linalg_cholesky_ex(at::cholesky_inverse(lower), /*upper=*/true);
      });
}
BENCHMARK(reverse_cholesky)->Arg(512)->Arg(2048)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace laconic
