#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include <limits>

#include "laconic/graph/define_operators.h"

namespace laconic::graph {
namespace {

/// [length, total], true where a query sees a key.
at::Tensor sight(const at::Tensor& q, const at::Tensor& k, std::optional<int64_t> window) {
  const int64_t length = q.size(-2), total = k.size(-2), past = total - length;
  const auto options = at::TensorOptions().dtype(at::kBool).device(q.device());
  const auto causal = at::ones({length, total}, options).tril(past);
  return window ? causal.triu(past - (*window - 1)) : causal;
}

void check_attention(const at::Tensor& q, const at::Tensor& k, std::optional<int64_t> window,
                     std::optional<double> softcap) {
  const int64_t heads = q.size(1), groups = k.size(1), length = q.size(2), total = k.size(2);
  TORCH_CHECK_VALUE(groups > 0 && heads % groups == 0,
                    "[attention] expected heads a multiple of groups, got ", heads, " and ", groups,
                    ".");
  TORCH_CHECK_VALUE(length <= total, "[attention] expected at least as many keys as queries, got ",
                    total, " and ", length, ".");
  TORCH_CHECK_VALUE(!window || *window > 0, "[attention] window: expected at least 1, got ",
                    *window, ".");
  TORCH_CHECK_VALUE(!softcap || *softcap > 0, "[attention] softcap: expected above 0, got ",
                    *softcap, ".");
}

/// As many heads as q has: the memory-saving kernel of the CPU wants that, and copies of k and v
/// are small beside q k^T.
at::Tensor spread_heads(const at::Tensor& x, const at::Tensor& q) {
  return x.size(1) == q.size(1) ? x : x.repeat_interleave(q.size(1) / x.size(1), 1);
}

at::Tensor scores(const at::Tensor& q, const at::Tensor& k, double scale,
                  std::optional<double> softcap) {
  const auto product = q.matmul(spread_heads(k, q).transpose(-1, -2));
  return softcap ? (product * (scale / *softcap)).tanh() * *softcap : product * scale;
}

at::Tensor shares_of(const at::Tensor& score, const at::Tensor& seen) {
  const double never = -std::numeric_limits<double>::infinity();
  return at::softmax(score.masked_fill(seen.logical_not(), never), -1);
}

at::Tensor attention_recent_kernel(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   const at::Tensor& k_recent, const at::Tensor& v_recent,
                                   int64_t recent, double scale, std::optional<int64_t> window,
                                   std::optional<double> softcap) {
  check_attention(q, k, window, softcap);
  TORCH_CHECK_VALUE(recent > 0 && k_recent.sizes() == k.sizes() && v_recent.sizes() == v.sizes(),
                    "[attention_recent] expected recent above 0 and keys and values of the same ",
                    "shapes, got ", recent, ", ", k.sizes(), " and ", k_recent.sizes(), ".");
  const auto near = sight(q, k, recent);
  const auto score =
      at::where(near, scores(q, k_recent, scale, softcap), scores(q, k, scale, softcap));
  const auto share = shares_of(score, sight(q, k, window));
  return (share * near).matmul(spread_heads(v_recent, q)) +
         (share * near.logical_not()).matmul(spread_heads(v, q));
}

at::Tensor attention_kernel(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            double scale, std::optional<int64_t> window,
                            std::optional<double> softcap) {
  check_attention(q, k, window, softcap);
  const int64_t length = q.size(2), total = k.size(2);
  if (softcap)
    return shares_of(scores(q, k, scale, softcap), sight(q, k, window)).matmul(spread_heads(v, q));
  const bool is_narrow = window && *window < total, is_causal = length == total && !is_narrow;
  const bool needs_mask = is_narrow || (length > 1 && length < total);
  const auto mask = needs_mask ? std::optional(sight(q, k, window)) : std::nullopt;
  return at::scaled_dot_product_attention(q, spread_heads(k, q), spread_heads(v, q), mask, 0.0,
                                          is_causal, scale);
}

at::Tensor attention_shares_kernel(const at::Tensor& q, const at::Tensor& k, double scale,
                                   std::optional<int64_t> window, std::optional<double> softcap) {
  check_attention(q, k, window, softcap);
  return shares_of(scores(q, k, scale, softcap), sight(q, k, window));
}

at::Tensor attend_kernel(const at::Tensor& shares, const at::Tensor& v) {
  TORCH_CHECK_VALUE(shares.dim() == 4 && v.dim() == 4 && shares.size(3) == v.size(2),
                    "[attend] expected a share of each value, got ", shares.sizes(), " and ",
                    v.sizes(), ".");
  return shares.matmul(spread_heads(v, shares));
}

}  // namespace

void define_attention(torch::Library& library) {
  library.def(
      "attention(Tensor q, Tensor k, Tensor v, float scale, int? window, float? softcap) -> "
      "Tensor",
      attention_kernel);
  library.def(
      "attention_recent(Tensor q, Tensor k, Tensor v, Tensor k_recent, Tensor v_recent, int "
      "recent, float scale, int? window, float? softcap) -> Tensor",
      attention_recent_kernel);
  library.def(
      "attention_shares(Tensor q, Tensor k, float scale, int? window, float? softcap) -> Tensor",
      attention_shares_kernel);
  library.def("attend(Tensor shares, Tensor v) -> Tensor", attend_kernel);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     std::optional<int64_t> window, std::optional<double> softcap) {
  static const auto op = find_operator<decltype(attention_kernel)>("laconic::attention");
  return op.call(q, k, v, scale, window, softcap);
}

at::Tensor attention_shares(const at::Tensor& q, const at::Tensor& k, double scale,
                            std::optional<int64_t> window, std::optional<double> softcap) {
  static const auto op =
      find_operator<decltype(attention_shares_kernel)>("laconic::attention_shares");
  return op.call(q, k, scale, window, softcap);
}

at::Tensor attend(const at::Tensor& shares, const at::Tensor& v) {
  static const auto op = find_operator<decltype(attend_kernel)>("laconic::attend");
  return op.call(shares, v);
}

at::Tensor attention_recent(const at::Tensor& q, const RecentAttention& o) {
  static const auto op =
      find_operator<decltype(attention_recent_kernel)>("laconic::attention_recent");
  return op.call(q, o.k, o.v, o.k_recent, o.v_recent, o.recent, o.scale, o.window, o.softcap);
}

}  // namespace laconic::graph
