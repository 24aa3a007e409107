#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace laconic::graph {

/// Registers the operators of namespace `laconic` with the dispatcher; the first call does the
/// work. A runner, a tracer and the functions below call it. (Explicit: a static object that
/// registers itself is dropped from a static library.)
void register_operators();

/// Rotary position embedding of x [batch, heads, length, head_dim], positions 0 to length - 1
/// (Su et al. 2021, arXiv:2104.09864); as an operator it also takes the offset that positions begin
/// at, which a decoder with a cache sets. Feature i turns with feature i + R/2 of the first R = 2 *
/// frequencies.size() ones (`interleaved`: 2i with 2i + 1); the other features pass.
/// @param frequencies  radians a position.
/// @param scaling      factor of cosine and sine (YaRN's attention factor).
at::Tensor rope(const at::Tensor& x, at::ArrayRef<double> frequencies, double scaling = 1.0,
                bool interleaved = false);

/// `rope` with `short_frequencies` up to `original_length` positions, with `long_frequencies`
/// beyond (LongRoPE, arXiv:2402.13753).
at::Tensor rope_by_length(const at::Tensor& x, at::ArrayRef<double> short_frequencies,
                          at::ArrayRef<double> long_frequencies, int64_t original_length,
                          double scaling);

/// What dynamic NTK scaling needs: base^(-2i / dim) up to `original_length` positions; beyond them
/// the base grows by (factor * length / original_length - (factor - 1))^(dim / (dim - 2)).
struct DynamicRope {
  double base = 10000.0;
  int64_t dim = 0;  ///< features that turn, even, > 2
  double factor = 1.0;
  int64_t original_length = 0;
};
at::Tensor rope_dynamic(const at::Tensor& x, const DynamicRope& options);

/// Positions offset, offset + 1, ... for ids [batch, length]: int64 [length].
at::Tensor positions(const at::Tensor& ids, int64_t offset = 0);

/// Causal softmax(scale * q k^T) v for q [batch, heads, length, d], k and v [batch, groups, total,
/// d], where groups divides heads (grouped-query attention, arXiv:2305.13245). Queries are the last
/// `length` of `total` positions: the others come from a cache.
/// @param window   a position sees itself and the window - 1 positions before it; none: all before
/// it.
/// @param softcap  scores s become softcap * tanh(s / softcap) (Gemma 2, arXiv:2408.00118).
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     std::optional<int64_t> window = std::nullopt,
                     std::optional<double> softcap = std::nullopt);

/// The two halves of `attention`, for what is done with the shares between: softmax(scale * q k^T),
/// [batch, heads, length, total], 0 where a query sees nothing; and shares v.
at::Tensor attention_shares(const at::Tensor& q, const at::Tensor& k, double scale,
                            std::optional<int64_t> window = std::nullopt,
                            std::optional<double> softcap = std::nullopt);
at::Tensor attend(const at::Tensor& shares, const at::Tensor& v);

/// `attention` whose keys and values are quantized but for the nearest ones: a query sees itself
/// and the recent - 1 positions before it as `k_recent`, `v_recent`, the others as `k`, `v` (a
/// residual window: Liu et al. 2024, arXiv:2402.02750).
struct RecentAttention {
  at::Tensor k, v, k_recent, v_recent;  ///< as k and v of `attention`
  int64_t recent = 1;
  double scale = 1;
  std::optional<int64_t> window = std::nullopt;
  std::optional<double> softcap = std::nullopt;
};
at::Tensor attention_recent(const at::Tensor& q, const RecentAttention& options);

/// Routing of a mixture of experts: softmax over experts of x W^T in float32, the `chosen` largest
/// of each token kept (ties: any of them), the others 0.
/// @param x          [batch, length, features].
/// @param weight     [experts, features].
/// @param normalizes the kept ones add up to 1.
/// @returns [batch, length, experts], dtype of x.
at::Tensor route(const at::Tensor& x, const at::Tensor& weight, int64_t chosen, bool normalizes);

/// The rows of x [batch, length, features] that are routed to an expert (share above 0), in order:
/// [rows, features], perhaps none.
at::Tensor expert_rows(const at::Tensor& x, const at::Tensor& shares, int64_t expert);

/// sum [batch, length, features] with rows [rows, features], as `expert_rows` ordered them, added
/// at their places, each times its share.
at::Tensor add_expert(const at::Tensor& sum, const at::Tensor& rows, const at::Tensor& shares,
                      int64_t expert);

/// Every run of `size` elements of the last dimension times the normalized Hadamard matrix of order
/// `size` (kernel/hadamard.h).
at::Tensor hadamard(const at::Tensor& x, int64_t size);

}  // namespace laconic::graph
