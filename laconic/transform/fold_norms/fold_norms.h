#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// Moves the gains of RMS norms and layer norms into the linear layers that read them, their biases
/// into those layers' biases, and makes layer norms RMS norms where everything that writes their
/// input can be centred (README.md).
TransformReport fold_norms(FloatNetwork& network, const nlohmann::json& options);
void check_fold_norms(const nlohmann::json& options);
nlohmann::json fold_norms_defaults();

inline constexpr Transform kFoldNorms{
    "fold_norms",
    "gains and biases of norms move into the layers that read them; layer norms become RMS norms",
    "arXiv:2401.15024",
    fold_norms,
    check_fold_norms,
    fold_norms_defaults};

}  // namespace laconic::transform
