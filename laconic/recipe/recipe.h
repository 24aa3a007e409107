#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// One rule of a recipe: layers whose name matches get these quantizers; the last rule that matches wins.
struct LayerRule {
  std::vector<std::string> layers;      ///< patterns ("model.layers.*", "*.q_proj", "re:...")
  bool skip = false;                    ///< leave these layers in float
  std::optional<QuantSpec> weight, input;
  std::string solver = "nearest";
  nlohmann::json solver_options = nlohmann::json::object();
};

/// A recipe as data. YAML <-> recipe; see docs/recipes.md.
struct Recipe {
  std::string name, description;
  std::vector<LayerRule> rules;
  struct Calibration {
    int64_t windows = 128, length = 512;
    uint64_t seed = 0;
    bool quantized_inputs = true;
  } calibration;
};

/// @throws c10::ValueError "file:line:column: ..." for an unknown key (with the nearest right word) or a wrong value.
Recipe parse_recipe(const std::string& yaml, const std::string& where);
std::string to_yaml(const Recipe& recipe);

/// A preset's name, or a path of a YAML file. `settings`: "key=value" with dotted keys, applied over the YAML.
Recipe load_recipe(const std::string& name_or_path, std::span<const std::string> settings = {});
std::vector<std::string> preset_names();

}  // namespace laconic
