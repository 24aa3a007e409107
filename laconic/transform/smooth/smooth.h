#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// max|X|^alpha / max|W|^(1 - alpha); 1 where either is zero.
at::Tensor smoothing_factors(const at::Tensor& input, const at::Tensor& weight, double alpha);

/// Divides the features of inputs by factors that move their outliers into the weights (README.md).
TransformReport smooth(FloatNetwork& network, const nlohmann::json& options);
void check_smooth(const nlohmann::json& options);
nlohmann::json smooth_defaults();
TransformNeeds smooth_needs(const FloatNetwork& network, const nlohmann::json& options);

inline constexpr Transform kSmooth{"smooth",
                                   "outliers of inputs move into the weights that multiply them",
                                   "arXiv:2211.10438",
                                   smooth,
                                   check_smooth,
                                   smooth_defaults,
                                   smooth_needs,
                                   /*needs_windows=*/true};

}  // namespace laconic::transform
