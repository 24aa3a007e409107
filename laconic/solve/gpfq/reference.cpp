#include "laconic/solve/gpfq/reference.h"

#include <ATen/ops/zeros_like.h>

#include "laconic/solve/columns/reference.h"

namespace laconic::gpfq {

LayerSolution solve_reference(const LayerProblem& problem, const GpfqOptions& options) {
  columns::ReferenceColumns columns(problem, options);
  const at::Tensor H = columns.ordered(columns.H);
  const at::Tensor w = problem.weight.to(at::kDouble).index_select(1, columns.order);
  // G = X~^T X / n; row t of it is <X~_t, X_j>.
  at::Tensor G = columns.ordered(problem.hessian.to(at::kDouble));
  if (problem.mismatch.defined()) G = G + columns.ordered(problem.mismatch.to(at::kDouble));
  at::Tensor q = at::zeros_like(w);
  for (int64_t t = 0; t < w.size(1); ++t) {
    const int64_t j = columns.order[t].item<int64_t>();
    if (columns.is_live()) q = columns.rounded();
    const at::Tensor followed = w.narrow(1, 0, t + 1).mv(G[t].narrow(0, 0, t + 1));
    const at::Tensor done = q.narrow(1, 0, t).mv(H[t].narrow(0, 0, t));
    const at::Tensor argument = (followed - done) / H[t][t];
    columns.W.select(1, j).copy_(argument);
    q.select(1, t).copy_(columns.round(argument, j));
  }
  return columns.solution({});
}

}  // namespace laconic::gpfq
