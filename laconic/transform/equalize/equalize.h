#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Makes rows of layers and the columns that read them equally wide (README.md).
TransformReport equalize(FloatNetwork& network, const nlohmann::json& options);
void check_equalize(const nlohmann::json& options);
nlohmann::json equalize_defaults();
TransformNeeds equalize_needs(const FloatNetwork& network, const nlohmann::json& options);

inline constexpr Transform kEqualize{
    "equalize",         "rows of layers and the columns that read them equally wide",
    "arXiv:1906.04721", equalize,
    check_equalize,     equalize_defaults,
    equalize_needs};

}  // namespace laconic::transform
