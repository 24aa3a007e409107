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
/// (Su et al. 2021, arXiv:2104.09864). Feature i turns with feature i + R/2 of the first R = 2 *
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

/// Causal softmax(scale * q k^T) v for q [batch, heads, length, d], k and v [batch, groups, length,
/// d], where groups divides heads (grouped-query attention, arXiv:2305.13245).
/// @param window  a position sees itself and the window - 1 positions before it; none: all before
/// it.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     std::optional<int64_t> window = std::nullopt);

/// Every run of `size` elements of the last dimension times the normalized Hadamard matrix of order
/// `size` (kernel/hadamard.h).
at::Tensor hadamard(const at::Tensor& x, int64_t size);

}  // namespace laconic::graph
