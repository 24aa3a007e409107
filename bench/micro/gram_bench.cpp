// Sum of X^T X over calibration rows: our half product beside LibTorch's whole one.
#include <ATen/ops/addmm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include "bench/micro/ratio.h"
#include "laconic/kernel/gram.h"

namespace laconic {
namespace {

void gram(benchmark::State& state) {
  const int64_t columns = state.range(0);
  const at::Tensor x = at::randn({2048, columns});
  kernel::GramSum sum(columns);
  at::Tensor whole = at::zeros({columns, columns});
  bench::compare(
      state, [&] { sum.add(x); }, [&] { whole = at::addmm(whole, x.t(), x); });
}
BENCHMARK(gram)->Arg(512)->Arg(1536)->Arg(4096)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace laconic
