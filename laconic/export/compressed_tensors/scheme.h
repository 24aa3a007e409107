#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "laconic/load/native/native.h"

namespace laconic {

/// Why the format cannot hold what the layer's specs make, and what to put into the recipe; from
/// specs and shape alone.
std::vector<std::string> scheme_obstacles(const NativeLayer& layer);

/// "pack-quantized" or "int-quantized".
std::string layer_format(const NativeLayer& layer);

/// The layer's entry of config_groups, without targets.
nlohmann::json layer_scheme(const NativeLayer& layer);

/// Name and bytes of what replaces the layer's weight, in order; sizes come before the numbers are
/// read.
uint64_t compressed_bytes(const NativeLayer& layer);
std::vector<std::pair<std::string, at::Tensor>> compressed_layer(const NativeDirectory& model,
                                                                 const NativeLayer& layer);

}  // namespace laconic
