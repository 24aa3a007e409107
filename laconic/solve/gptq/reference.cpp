#include "laconic/solve/gptq/reference.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "laconic/solve/gptq/scale_table.h"
#include "laconic/solve/problem.h"

namespace laconic::gptq {
namespace {

/// U, upper, with H^-1 = U^T U; the damping grows until it exists.
at::Tensor inverse_factor(const LayerProblem& problem, at::Tensor H, double damping,
                          std::vector<std::string>& notes) {
  const double mean = H.diagonal().mean().item<double>();
  for (int attempt = 0; attempt < 12; ++attempt) {
    at::Tensor damped = H.clone();
    damped.diagonal().add_(damping * mean);
    const auto [L, failed] = at::linalg_cholesky_ex(damped);
    if (failed.item<int64_t>() == 0) {
      if (attempt > 0) notes.push_back("damping raised to " + std::to_string(damping) + ".");
      return std::get<0>(at::linalg_cholesky_ex(at::cholesky_inverse(L), /*upper=*/true));
    }
    damping = std::max(damping * 10, 0.01);
  }
  TORCH_CHECK_VALUE(false, "[gptq] layer ", problem.name,
                    ": the Hessian is not positive definite.");
}

/// Parameters of column j: those of its group alone when the spec groups along the inputs.
struct ColumnParameters {
  const LayerProblem& problem;
  const GptqOptions& options;
  ScaleTable table;

  void find(const at::Tensor& W, int64_t j) {
    const int64_t size = input_group_size(problem.spec);
    const int64_t begin = size > 0 ? j / size * size : 0;
    const int64_t width = size > 0 ? std::min(size, W.size(1) - begin) : W.size(1);
    const at::Tensor part = W.narrow(1, begin, width).to(at::kFloat);
    const auto importance = problem.importance;
    const auto found = find_parameters(
        problem.spec, part,
        importance.defined() ? importance.narrow(0, begin, width).unsqueeze(0) : importance);
    const auto columns = make_scale_table(problem.spec, found, part);
    const int64_t group = size > 0 ? j / size : 0;
    table.scale.narrow(1, group, columns.scale.size(1)).copy_(columns.scale);
    if (found.zero_point.defined())
      table.zero_point.narrow(1, group, columns.scale.size(1)).copy_(columns.zero_point);
  }
  /// Scale and zero point of column j, [out].
  std::pair<at::Tensor, at::Tensor> at(int64_t j) const {
    const int64_t group = table.group[j].item<int64_t>();
    const at::Tensor s = table.scale.select(1, group);
    return {s, table.zero_point.defined() ? table.zero_point.select(1, group) : s * 0};
  }
  bool changes_at(int64_t j) const {
    if (problem.parameters) return false;
    if (options.group_scales == GroupScales::kLive) return true;
    const int64_t size = input_group_size(problem.spec);
    return options.group_scales == GroupScales::kDuring && size > 0 && j % size == 0;
  }
};

}  // namespace

LayerSolution solve_reference(const LayerProblem& problem, const GptqOptions& options) {
  LayerSolution solution;
  at::Tensor W = problem.weight.to(at::kDouble).clone(),
             H = problem.hessian.to(at::kDouble).clone();
  const int64_t K = W.size(1);
  const at::Tensor dead = H.diagonal() == 0;
  H.diagonal().masked_fill_(dead, 1.0);
  W.masked_fill_(dead.unsqueeze(0), 0.0);
  const at::Tensor order = options.activation_order ? H.diagonal().argsort(true, 0, true)
                                                    : at::arange(K, W.options().dtype(at::kLong));
  const at::Tensor U = inverse_factor(problem, H.index_select(0, order).index_select(1, order),
                                      options.damping, solution.notes);
  solution.parameters = problem_parameters(problem, W.to(at::kFloat));
  ColumnParameters columns{problem, options,
                           make_scale_table(problem.spec, solution.parameters, problem.weight)};
  columns.table.scale = columns.table.scale.clone();
  if (columns.table.zero_point.defined())
    columns.table.zero_point = columns.table.zero_point.clone();
  const CodeRange range = code_range(problem.spec.format);
  at::Tensor codes = at::empty_like(W);
  for (int64_t begin = 0; begin < K; begin += options.block_size) {
    const int64_t end = std::min(begin + options.block_size, K);
    const at::Tensor E = at::zeros({W.size(0), end - begin}, W.options());
    for (int64_t i = begin; i < end; ++i) {
      const int64_t j = order[i].item<int64_t>();
      if (columns.changes_at(j)) columns.find(W, j);
      const auto [s, z] = columns.at(j);
      const at::Tensor w = W.select(1, j);
      const at::Tensor code = (w / s + z).round().clamp(range.q_min, range.q_max);
      const at::Tensor e = (w - (code - z) * s) / U[i][i];
      codes.select(1, j).copy_(code);
      E.select(1, i - begin).copy_(e);
      W.index_add_(1, order.narrow(0, i, end - i), e.outer(U[i].narrow(0, i, end - i)), -1);
    }
    // Columns behind the block change at its end only: it matters to kLive, which looks at them.
    W.index_add_(1, order.narrow(0, end, K - end),
                 E.mm(U.narrow(0, begin, end - begin).narrow(1, end, K - end)), -1);
  }
  if (options.group_scales == GroupScales::kLive && !problem.parameters) {
    solution.parameters = problem_parameters(problem, W.to(at::kFloat));
    solution.codes = quantize_codes(problem.spec, W.to(at::kFloat), solution.parameters);
    return solution;
  }
  solution.codes = codes.to(range.q_min < 0 ? at::kChar : at::kByte);
  if (input_group_size(problem.spec) == 0) return solution;
  solution.parameters.scale = columns.table.scale.view(solution.parameters.scale.sizes());
  if (columns.table.zero_point.defined()) {
    solution.parameters.zero_point =
        columns.table.zero_point.view(solution.parameters.zero_point.sizes());
  }
  return solution;
}

}  // namespace laconic::gptq
