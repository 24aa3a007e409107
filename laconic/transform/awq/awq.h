#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Scales features so that the weights that matter lose least, and clips groups of weights
/// (README.md).
TransformReport awq(FloatNetwork& network, const nlohmann::json& options);
void check_awq(const nlohmann::json& options);
nlohmann::json awq_defaults();
TransformNeeds awq_needs(const FloatNetwork& network, const nlohmann::json& options);

inline constexpr Transform kAwq{"awq",
                                "features scaled by what the quantized weights' outputs lose",
                                "arXiv:2306.00978",
                                awq,
                                check_awq,
                                awq_defaults,
                                awq_needs,
                                /*needs_windows=*/true};

}  // namespace laconic::transform
