#include "laconic/solve/columns/reference.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <tuple>

#include "laconic/quant/quantizer/hierarchy.h"
#include "laconic/quant/quantizer/range.h"
#include "laconic/solve/problem.h"

namespace laconic::columns {

ReferenceColumns::ReferenceColumns(const LayerProblem& problem, const Options& options)
    : W(problem.weight.to(at::kDouble).clone()),
      H(problem.hessian.to(at::kDouble).clone()),
      problem_(problem),
      options_(options) {
  const at::Tensor dead = H.diagonal() == 0;
  H.diagonal().masked_fill_(dead, 1.0);
  W.masked_fill_(dead.unsqueeze(0), 0.0);
  order = options.activation_order ? H.diagonal().argsort(true, 0, true)
                                   : at::arange(W.size(1), W.options().dtype(at::kLong));
  const auto importance = problem.importance;
  parameters_ =
      parameters_of(W.to(at::kFloat), importance.defined() ? importance.unsqueeze(0) : importance);
  table_ = make_scale_table(problem.spec, parameters_, problem.weight);
  table_.scale = table_.scale.clone();
  if (table_.zero_point.defined()) table_.zero_point = table_.zero_point.clone();
  if (table_.choice.defined()) table_.choice = table_.choice.clone();
  codes_ = at::empty(W.sizes(), W.options().dtype(at::kLong));
}

at::Tensor ReferenceColumns::ordered(const at::Tensor& matrix) const {
  return matrix.index_select(0, order).index_select(1, order);
}

QuantParameters ReferenceColumns::parameters_of(const at::Tensor& weight,
                                                const at::Tensor& importance) const {
  if (!problem_.parameters) return find_parameters(problem_.spec, weight, importance);
  QuantParameters frozen = *problem_.parameters;
  if (std::holds_alternative<NoZeroPoint>(problem_.spec.zero_point) || frozen.zero_point.defined())
    return frozen;
  const auto shape = frozen.scale.sizes();
  const auto minimum = find_minimum(problem_.spec, weight, frozen.scale.reshape(-1), importance);
  frozen.zero_point = find_zero_point(problem_.spec, minimum.reshape(shape), frozen.scale, shape);
  return frozen;
}

void ReferenceColumns::find_scales(int64_t j) {
  if (problem_.parameters) {
    const auto found = parameters_of(W.narrow(1, j, 1).to(at::kFloat), {});
    table_.zero_point = make_scale_table(problem_.spec, found, problem_.weight).zero_point;
    return;
  }
  const int64_t size = input_group_size(problem_.spec);
  const int64_t begin = size > 0 ? j / size * size : 0;
  const int64_t width = size > 0 ? std::min(size, W.size(1) - begin) : W.size(1);
  const at::Tensor part = W.narrow(1, begin, width).to(at::kFloat);
  const auto importance = problem_.importance;
  const auto found = parameters_of(
      part, importance.defined() ? importance.narrow(0, begin, width).unsqueeze(0) : importance);
  const auto columns = make_scale_table(problem_.spec, found, part);
  const int64_t group = size > 0 ? j / size : 0;
  table_.scale.narrow(1, group, columns.scale.size(1)).copy_(columns.scale);
  if (found.zero_point.defined())
    table_.zero_point.narrow(1, group, columns.scale.size(1)).copy_(columns.zero_point);
  if (found.choice.defined())
    table_.choice.narrow(1, group, columns.scale.size(1)).copy_(columns.choice);
}

at::Tensor ReferenceColumns::rounded() const {
  const at::Tensor weight = W.to(at::kFloat);
  const auto parameters = parameters_of(weight, {});
  return fake_quantize(problem_.spec, weight, parameters).to(at::kDouble).index_select(1, order);
}

bool ReferenceColumns::changes_at(int64_t j) const {
  const bool is_frozen =
      problem_.parameters && (std::holds_alternative<NoZeroPoint>(problem_.spec.zero_point) ||
                              problem_.parameters->zero_point.defined());
  if (is_frozen) return false;
  if (is_live()) return true;
  const int64_t size = input_group_size(problem_.spec);
  return options_.group_scales == GroupScales::kDuring && size > 0 && j % size == 0;
}

at::Tensor ReferenceColumns::round(const at::Tensor& w, int64_t j) {
  if (changes_at(j)) find_scales(j);
  const auto column = [&](const at::Tensor& table) {
    return table.select(1, table_.group[j].item<int64_t>()).to(at::kDouble).unsqueeze(1);
  };
  QuantSpec spec{.format = problem_.spec.format, .granularity = PerChannel{0}};
  QuantParameters parameters{column(table_.scale), {}};
  if (table_.zero_point.defined()) {
    spec.zero_point = problem_.spec.zero_point;
    parameters.zero_point = column(table_.zero_point);
  }
  if (table_.choice.defined()) parameters.choice = column(table_.choice).to(at::kByte);
  const at::Tensor codes = quantize_codes(spec, w.unsqueeze(1), parameters);
  codes_.select(1, j).copy_(codes.select(1, 0));
  return dequantize(spec, codes, parameters).select(1, 0);
}

LayerSolution ReferenceColumns::solution(std::vector<std::string> notes) {
  LayerSolution solution{.codes = {}, .parameters = parameters_, .notes = std::move(notes)};
  if (is_live()) {
    solution.parameters = parameters_of(W.to(at::kFloat), {});
    solution.codes = quantize_codes(problem_.spec, W.to(at::kFloat), solution.parameters);
    return solution;
  }
  solution.codes = codes_.to(code_range(problem_.spec.format).q_min < 0 ? at::kChar : at::kByte);
  if (input_group_size(problem_.spec) == 0) return solution;
  solution.parameters.scale = table_.scale.view(solution.parameters.scale.sizes());
  if (table_.zero_point.defined())
    solution.parameters.zero_point = table_.zero_point.view(solution.parameters.zero_point.sizes());
  if (table_.choice.defined())
    solution.parameters.choice =
        table_.choice.to(at::kByte).view(solution.parameters.choice.sizes());
  return solution;
}

void diffuse(ReferenceColumns& columns, const at::Tensor& U, int64_t first, int64_t block_size) {
  at::Tensor& W = columns.W;
  const at::Tensor order = columns.order.slice(0, first);
  const int64_t K = order.size(0);
  for (int64_t begin = 0; begin < K; begin += block_size) {
    const int64_t end = std::min(begin + block_size, K);
    const at::Tensor E = at::zeros({W.size(0), end - begin}, W.options());
    for (int64_t i = begin; i < end; ++i) {
      const int64_t j = order[i].item<int64_t>();
      const at::Tensor w = W.select(1, j).clone();
      const at::Tensor e = (w - columns.round(w, j)) / U[i][i];
      E.select(1, i - begin).copy_(e);
      W.index_add_(1, order.narrow(0, i, end - i), e.outer(U[i].narrow(0, i, end - i)), -1);
    }
    // Columns behind the block change at its end only: it matters to kLive, which looks at them.
    W.index_add_(1, order.narrow(0, end, K - end),
                 E.mm(U.narrow(0, begin, end - begin).narrow(1, end, K - end)), -1);
  }
}

at::Tensor inverse_factor(const LayerProblem& problem, const at::Tensor& H, double damping,
                          double unit, std::vector<std::string>& notes) {
  for (int attempt = 0; attempt < 12; ++attempt) {
    at::Tensor damped = H.clone();
    damped.diagonal().add_(damping * unit);
    const auto [L, failed] = at::linalg_cholesky_ex(damped);
    if (failed.item<int64_t>() == 0) {
      if (attempt > 0) notes.push_back("damping raised to " + std::to_string(damping) + ".");
      return std::get<0>(at::linalg_cholesky_ex(at::cholesky_inverse(L), /*upper=*/true));
    }
    damping = std::max(damping * 10, 1e-6);
  }
  TORCH_CHECK_VALUE(false, "[reference] layer ", problem.name,
                    ": the Hessian is not positive definite.");
}

}  // namespace laconic::columns
