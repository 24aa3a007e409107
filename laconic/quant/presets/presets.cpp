#include "laconic/quant/presets/presets.h"

#include <algorithm>

#include "laconic/base/text.h"
#include "laconic/base/variant.h"
#include "laconic/quant/presets/families.h"

namespace laconic {
namespace {

std::vector<QuantPreset> all_presets() {
  std::vector<QuantPreset> all;
  for (const auto& family :
       {scaled_integer_presets(), fixed_point_presets(), shifted_integer_presets(), sign_presets(),
        plain_float_presets(), fnuz_float_presets(), ocp_float_presets(), block_presets(),
        no_quantizer_presets(), program_presets(), own_presets()})
    all.insert(all.end(), family.begin(), family.end());
  return all;
}

}  // namespace

const std::vector<QuantPreset>& quant_presets() {
  static const std::vector<QuantPreset> presets = all_presets();
  return presets;
}

const QuantPreset& quant_preset(const std::string& name) {
  std::vector<std::string> names;
  for (const QuantPreset& preset : quant_presets()) {
    if (preset.name == name) return preset;
    names.push_back(preset.name);
  }
  TORCH_CHECK_VALUE(false, "[presets] unknown quantizer preset: \"", name, "\"",
                    suggestion(name, names), ". `laconic recipes --quantizers` lists them.");
}

const QuantSpec& quant_spec_preset(const std::string& name) {
  const QuantPreset& preset = quant_preset(name);
  const auto* spec = std::get_if<QuantSpec>(&preset.quantizer);
  TORCH_CHECK_VALUE(spec != nullptr, "[presets] ", name,
                    ": expected a quantizer of a tensor, got: ", to_string(preset),
                    ". Take its part of quant_preset(name).quantizer.");
  return *spec;
}

std::string to_string(const QuantPreset& preset) {
  const std::string line =
      std::visit(Overloaded{[](const NoQuantizer&) { return std::string("not quantized"); },
                            [](const auto& quantizer) { return to_string(quantizer); }},
                 preset.quantizer);
  return preset.note.empty() ? line : line + " (" + preset.note + ")";
}

}  // namespace laconic
