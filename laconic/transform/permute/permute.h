#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Puts the features of the residual stream and of the inputs of down-projections into an order in
/// which blocks of neighbours share the large ones (README.md).
TransformReport permute(FloatNetwork& network, const nlohmann::json& options);
void check_permute(const nlohmann::json& options);
nlohmann::json permute_defaults();

inline constexpr Transform kPermute{
    "permute",
    "features in an order in which blocks of neighbours have equal mass",
    "arXiv:2601.22347",
    permute,
    check_permute,
    permute_defaults,
    /*needs_windows=*/true};

}  // namespace laconic::transform
