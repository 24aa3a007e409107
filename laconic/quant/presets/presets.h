#pragma once

#include <string>
#include <variant>
#include <vector>

#include "laconic/quant/quantizer/quant_spec.h"
#include "laconic/quant/tensor/bias.h"
#include "laconic/quant/tensor/truncate.h"

namespace laconic {

/// No quantizer: the tensor stays as it is.
struct NoQuantizer {
  bool operator==(const NoQuantizer&) const = default;
};

/// What a preset quantizes a tensor with: a quantizer, one of a bias by the scales of its layer, an
/// accumulator's truncation, or nothing.
using PresetQuantizer = std::variant<QuantSpec, BiasQuantizer, Truncation, NoQuantizer>;

/// A quantizer that has a name.
struct QuantPreset {
  std::string name;
  std::string family;  ///< heading under which it is listed
  PresetQuantizer quantizer;
  std::string note =
      {};  ///< what is usually set to one's own by `.let`, and what else there is to say
};

/// All of them, family by family: those that Brevitas 0.13.4 has, by its names, then ours.
const std::vector<QuantPreset>& quant_presets();

/// @throws c10::ValueError for an unknown name, with the nearest one.
const QuantPreset& quant_preset(const std::string& name);

/// The spec of a preset by name: `quant_spec_preset("Int8WeightPerTensorFloat").let(...)`.
/// @throws c10::ValueError also for a preset that is not a QuantSpec.
const QuantSpec& quant_spec_preset(const std::string& name);

/// The composition in one line.
std::string to_string(const QuantPreset& preset);

}  // namespace laconic
