#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Gives MLPs more features, all of them 0 (README.md).
TransformReport expand(FloatNetwork& network, const nlohmann::json& options);
void check_expand(const nlohmann::json& options);
nlohmann::json expand_defaults();

inline constexpr Transform kExpand{
    "expand",           "features of MLPs up to a larger Hadamard order or a multiple",
    "arXiv:2503.17513", expand,
    check_expand,       expand_defaults};

}  // namespace laconic::transform
