#include "laconic/solve/qronos/reference.h"

#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_inv.h>

#include "laconic/solve/columns/reference.h"

namespace laconic::qronos {

LayerSolution solve_reference(const LayerProblem& problem, const QronosOptions& options) {
  std::vector<std::string> notes;
  columns::ReferenceColumns columns(problem, options);
  const at::Tensor& order = columns.order;
  const at::Tensor H = columns.ordered(columns.H);
  const at::Tensor w = problem.weight.to(at::kDouble).index_select(1, order);
  at::Tensor G = columns.ordered(problem.hessian.to(at::kDouble));
  if (problem.mismatch.defined()) G = G + columns.ordered(problem.mismatch.to(at::kDouble));
  const int64_t K = w.size(1), rest = K - 1;

  // q_1 = Q((G_1 w - H_1,2: w_2:) / H_11)
  const at::Tensor first =
      (w.mv(G[0]) - w.narrow(1, 1, rest).mv(H[0].narrow(0, 1, rest))) / H[0][0];
  const int64_t j = order[0].item<int64_t>();
  columns.W.select(1, j).copy_(first);
  const at::Tensor q = columns.round(first, j);
  if (rest == 0) return columns.solution(notes);

  // v = (H_>> + lambda I)^-1 ((G + lambda I)_> w - H_>1 q_1)
  const double unit = largest_eigenvalue(problem.hessian), lambda = options.damping * unit;
  const at::Tensor trailing = H.narrow(0, 1, rest).narrow(1, 1, rest);
  const at::Tensor A = at::linalg_inv(trailing + lambda * at::eye(rest, H.options()));
  const at::Tensor target = w.mm(G.narrow(0, 1, rest).t()) + lambda * w.narrow(1, 1, rest);
  const at::Tensor v = (target - q.outer(H[0].narrow(0, 1, rest))).mm(A);

  // The recursion of GPTQ with the Cholesky factor of A, on v.
  columns.W.index_copy_(1, order.narrow(0, 1, rest), v);
  const at::Tensor U = columns::inverse_factor(problem, trailing, options.damping, unit, notes);
  columns::diffuse(columns, U, 1, options.block_size);
  return columns.solution(notes);
}

}  // namespace laconic::qronos
