#pragma once

#include <vector>

#include "laconic/quant/presets/presets.h"

namespace laconic {

// The presets of a family, in the order in which they are listed.
std::vector<QuantPreset> scaled_integer_presets();
std::vector<QuantPreset> fixed_point_presets();
std::vector<QuantPreset> shifted_integer_presets();
std::vector<QuantPreset> no_quantizer_presets();
std::vector<QuantPreset> program_presets();

}  // namespace laconic
