#include "laconic/solve/gptaq/reference.h"

#include <ATen/ops/zeros_like.h>

#include "laconic/solve/columns/reference.h"

namespace laconic::gptaq {

LayerSolution solve_reference(const LayerProblem& problem, const GptaqOptions& options) {
  std::vector<std::string> notes;
  columns::ReferenceColumns columns(problem, options.columns);
  at::Tensor& W = columns.W;
  const at::Tensor &H = columns.H, &order = columns.order;
  const int64_t K = W.size(1);
  const at::Tensor U = columns::inverse_factor(problem, columns.ordered(H), options.columns.damping,
                                               H.diagonal().mean().item<double>(), notes);
  // D = (X - X~)^T X~ / n
  const at::Tensor D = problem.mismatch.defined()
                           ? columns.ordered(problem.mismatch.t().to(at::kDouble))
                           : at::zeros_like(H);
  const at::Tensor P = options.alpha * D.mm(U.t()).triu(1).mm(U);
  for (int64_t i = 0; i < K; ++i) {
    const int64_t j = order[i].item<int64_t>();
    const at::Tensor rest = order.narrow(0, i, K - i), w = W.select(1, j).clone();
    const at::Tensor e = (w - columns.round(w, j)) / U[i][i];
    W.index_add_(1, rest, e.outer(U[i].narrow(0, i, K - i)), -1);
    W.index_add_(1, rest, w.outer(P[i].narrow(0, i, K - i)));
  }
  return columns.solution(notes);
}

}  // namespace laconic::gptaq
