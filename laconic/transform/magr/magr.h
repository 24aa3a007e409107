#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Lowers the largest magnitudes of weights where the inputs hardly notice (README.md).
TransformReport magr(FloatNetwork& network, const nlohmann::json& options);
void check_magr(const nlohmann::json& options);
nlohmann::json magr_defaults();
TransformNeeds magr_needs(const FloatNetwork& network, const nlohmann::json& options);

inline constexpr Transform kMagr{"magr",
                                 "weights with smaller largest magnitudes and nearly equal outputs",
                                 "arXiv:2406.00800",
                                 magr,
                                 check_magr,
                                 magr_defaults,
                                 magr_needs,
                                 /*needs_windows=*/true};

}  // namespace laconic::transform
