#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "laconic/model/config.h"

namespace laconic::model {

using Activation = at::Tensor (*)(const at::Tensor&);

/// The activation that field `key` names ("silu", "gelu_new", ...).
/// @throws c10::ValueError listing the known names.
Activation read_activation(const Config& config, const std::string& key);

}  // namespace laconic::model
