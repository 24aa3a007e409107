#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Rotates the features of the residual stream, of the values of attention and, by operators that
/// stay in the graph, the inputs of the other layers and queries and keys (README.md).
TransformReport rotate(FloatNetwork& network, const nlohmann::json& options);
void check_rotate(const nlohmann::json& options);
nlohmann::json rotate_defaults();
TransformNeeds rotate_needs(const FloatNetwork& network, const nlohmann::json& options);

/// The same, then optimises the rotations in weights through the quantized network (README.md).
TransformReport spin(FloatNetwork& network, const nlohmann::json& options);
void check_spin(const nlohmann::json& options);
nlohmann::json spin_defaults();
TransformNeeds spin_needs(const FloatNetwork& network, const nlohmann::json& options);

inline constexpr Transform kSpin{"spin",
                                 "rotations optimised through the quantized network",
                                 "arXiv:2405.16406",
                                 spin,
                                 check_spin,
                                 spin_defaults,
                                 spin_needs,
                                 /*needs_windows=*/true,
                                 /*runs_windows=*/true};

inline constexpr Transform kRotate{
    "rotate",
    "orthogonal maps of features, merged into weights where the graph lets them through",
    "arXiv:2404.00456",
    rotate,
    check_rotate,
    rotate_defaults,
    rotate_needs};

}  // namespace laconic::transform
