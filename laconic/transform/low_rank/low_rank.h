#pragma once

#include "laconic/transform/transform.h"
#include "laconic/transform/weights.h"

namespace laconic::transform {

/// W = (A B)^T + R: a branch in float beside a weight that is quantized.
struct LowRank {
  at::Tensor in;              ///< A, [in, rank]
  at::Tensor out;             ///< B, [rank, out]
  double relative_error = 0;  ///< |W - (A B)^T - Q(R)| / |W|
};

/// The best of `iterations` rounds: the branch is the nearest of its rank to W - Q(R), at first to
/// W. SVDQuant, arXiv:2411.05007.
LowRank find_low_rank(const FutureWeight& weight, int64_t rank, int64_t iterations);

/// Gives every layer that will be quantized a branch of low rank (README.md).
TransformReport low_rank(FloatNetwork& network, const nlohmann::json& options);
void check_low_rank(const nlohmann::json& options);
nlohmann::json low_rank_defaults();
TransformNeeds low_rank_needs(const FloatNetwork& network, const nlohmann::json& options);

inline constexpr Transform kLowRank{
    "low_rank",         "the largest directions of weights in a branch that stays in float",
    "arXiv:2411.05007", low_rank,
    check_low_rank,     low_rank_defaults,
    low_rank_needs};

}  // namespace laconic::transform
