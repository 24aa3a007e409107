#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Puts the features of the residual stream and of the inputs of down-projections into an order in
/// which blocks of neighbours share the large ones (README.md).
TransformReport permute(FloatNetwork& network, const nlohmann::json& options);
void check_permute(const nlohmann::json& options);
nlohmann::json permute_defaults();
TransformNeeds permute_needs(const FloatNetwork& network, const nlohmann::json& options);

inline constexpr Transform kPermute{
    "permute",
    "features in an order in which blocks of neighbours have equal mass",
    "arXiv:2601.22347",
    permute,
    check_permute,
    permute_defaults,
    permute_needs,
    /*needs_windows=*/true};

}  // namespace laconic::transform
