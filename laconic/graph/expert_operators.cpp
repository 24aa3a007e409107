#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include "laconic/graph/define_operators.h"

namespace laconic::graph {
namespace {

at::Tensor route_kernel(const at::Tensor& x, const at::Tensor& weight, int64_t chosen,
                        bool normalizes) {
  TORCH_CHECK_VALUE(chosen > 0 && chosen <= weight.size(0),
                    "[route] chosen experts: expected 1 to ", weight.size(0), ", got ", chosen,
                    ".");
  const auto share = at::softmax(at::linear(x, weight), -1, at::kFloat);
  auto [largest, expert] = at::topk(share, chosen, -1);
  if (normalizes) largest = largest / largest.sum(-1, true);
  return at::zeros_like(share).scatter(-1, expert, largest).to(x.scalar_type());
}

/// Numbers of the tokens of an expert, in order.
at::Tensor tokens(const at::Tensor& shares, int64_t expert) {
  TORCH_CHECK_VALUE(expert >= 0 && expert < shares.size(-1), "[expert] expected 0 to ",
                    shares.size(-1) - 1, ", got ", expert, ".");
  return at::nonzero(shares.select(-1, expert).flatten()).select(-1, 0);
}

at::Tensor expert_rows_kernel(const at::Tensor& x, const at::Tensor& shares, int64_t expert) {
  const auto rows = x.flatten(0, -2);
  // How many there are depends on numbers, which a tensor without memory has not: all of them.
  if (x.is_meta()) return at::empty(rows.sizes(), rows.options());
  return rows.index_select(0, tokens(shares, expert));
}

at::Tensor add_expert_kernel(const at::Tensor& sum, const at::Tensor& rows,
                             const at::Tensor& shares, int64_t expert) {
  if (sum.is_meta()) return at::empty(sum.sizes(), sum.options());
  const auto token = tokens(shares, expert);
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.size(0) == token.size(0), "[add_expert] expert ",
                    expert, ": expected ", token.size(0), " rows, got ", rows.sizes(), ".");
  const auto share = shares.select(-1, expert).flatten().index_select(0, token).unsqueeze(-1);
  return sum.flatten(0, -2).index_add(0, token, rows * share).view(sum.sizes());
}

}  // namespace

void define_experts(torch::Library& library) {
  library.def("route(Tensor x, Tensor weight, int chosen, bool normalizes) -> Tensor",
              route_kernel);
  library.def("expert_rows(Tensor x, Tensor shares, int expert) -> Tensor", expert_rows_kernel);
  library.def("add_expert(Tensor sum, Tensor rows, Tensor shares, int expert) -> Tensor",
              add_expert_kernel);
}

at::Tensor route(const at::Tensor& x, const at::Tensor& weight, int64_t chosen, bool normalizes) {
  static const auto op = find_operator<decltype(route_kernel)>("laconic::route");
  return op.call(x, weight, chosen, normalizes);
}

at::Tensor expert_rows(const at::Tensor& x, const at::Tensor& shares, int64_t expert) {
  static const auto op = find_operator<decltype(expert_rows_kernel)>("laconic::expert_rows");
  return op.call(x, shares, expert);
}

at::Tensor add_expert(const at::Tensor& sum, const at::Tensor& rows, const at::Tensor& shares,
                      int64_t expert) {
  static const auto op = find_operator<decltype(add_expert_kernel)>("laconic::add_expert");
  return op.call(sum, rows, shares, expert);
}

}  // namespace laconic::graph
