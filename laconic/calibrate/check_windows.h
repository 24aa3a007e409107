#pragma once

#include <ATen/core/ATen_fwd.h>

#include "laconic/load/language_model.h"

namespace laconic {

/// Refuses calibration windows that the model cannot run.
/// @throws c10::ValueError unless they are [n, length] int64 ids of the vocabulary, not longer than
/// the model's positions.
void check_windows(const LanguageModel& model, const at::Tensor& windows);

}  // namespace laconic
