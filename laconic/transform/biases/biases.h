#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Gives every linear layer of the blocks that has no bias one of zeros (README.md).
TransformReport biases(FloatNetwork& network, const nlohmann::json& options);
void check_biases(const nlohmann::json& options);
nlohmann::json biases_defaults();

inline constexpr Transform kBiases{
    "biases",     "a bias of zeros for each layer of the blocks that has none",
    "",           biases,
    check_biases, biases_defaults};

}  // namespace laconic::transform
