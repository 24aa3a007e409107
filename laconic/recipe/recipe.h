#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "laconic/calibrate/bias_correction.h"
#include "laconic/graph/attention_quantizers.h"
#include "laconic/quant/quantizer/quant_spec.h"
#include "laconic/recipe/parts.h"

namespace laconic {

/// Which layers a rule is for: a layer's whole name, a pattern ("*.q_proj", "re:...") over the
/// linear layers of the repeated blocks, or one of the words `blocks` (all of those), `head` (the
/// layers outside of them) and `embedding`. A wildcard never reaches the head, nor an embedding
/// beside layers of the blocks (layer_patterns.h).
struct LayerPattern {
  std::string text;
  std::string where;  ///< "file:line:column" of the pattern; no part of its value
  bool operator==(const LayerPattern& other) const { return text == other.text; }
};

/// One rule of a recipe: layers whose name matches get these quantizers; the last rule that matches
/// wins.
struct LayerRule {
  std::vector<LayerPattern> layers = {{"blocks", ""}};
  bool skip = false;  ///< leave these layers in float
  std::optional<QuantSpec> weight, input;
  std::string solver = "nearest";
  nlohmann::json solver_options = nlohmann::json::object();
  BiasCorrection bias_correction = BiasCorrection::kNone;
  bool operator==(const LayerRule&) const = default;
};

/// Quantizers of what attention reads, for the attentions whose module's name matches; the last
/// rule that matches wins.
struct AttentionRule {
  std::vector<LayerPattern> layers = {{"*", ""}};
  bool skip = false;  ///< leave these attentions in float
  graph::AttentionQuantizers quantizers;
  bool operator==(const AttentionRule&) const = default;
};

/// A rewrite of the float network before anything is quantized.
struct TransformStep {
  std::string name;
  nlohmann::json options = nlohmann::json::object();
  bool operator==(const TransformStep&) const = default;
};

/// A recipe as data. YAML <-> recipe; see docs/recipes.md.
struct Recipe {
  std::string name, description;
  struct Calibration {
    int64_t windows = 128;  ///< how many windows of the calibration text
    int64_t length = 512;   ///< tokens of each
    uint64_t seed = 0;      ///< 0: windows spread evenly over the text; else drawn by this seed
    std::string field = "text";    ///< of JSON lines
    bool quantized_inputs = true;  ///< statistics from the quantized network's inputs
    bool follow_float = false;     ///< reports what each layer lost beside the float network
    bool operator==(const Calibration&) const = default;
  } calibration;
  std::vector<LayerRule> rules;
  std::vector<AttentionRule> attention = {};
  std::vector<TransformStep> transforms = {};  ///< in this order
  bool operator==(const Recipe&) const = default;
};

/// @param where  name of the text in messages: a path, or "preset w4a16".
/// @throws c10::ValueError "where:line:column: ..." for text that is no YAML, an unknown key (with
/// the
///         nearest right word), a key twice, a wrong value, or parts that contradict each other.
Recipe parse_recipe(const std::string& yaml, const std::string& where, const Parts& parts = {});

/// YAML that `parse_recipe` reads back to an equal recipe.
std::string to_yaml(const Recipe& recipe);

/// A preset's name, or a path of a YAML file.
/// @param settings  "key=value" over the YAML, in order. The key is a path with dots from the top
///                  ("calibration.windows", "rules.0.solver_options.damping") or from a rule
///                  ("weight.bits"): then it changes every rule that has its first
///                  word.
/// @throws c10::ValueError as parse_recipe; for an unknown preset the message has the nearest one.
Recipe load_recipe(const std::string& name_or_path, std::span<const std::string> settings = {},
                   const Parts& parts = {});

/// The presets in the program, by name.
std::vector<std::string> preset_names();

/// The YAML text of a preset, comments included. @throws c10::ValueError for an unknown name.
std::string preset_yaml(const std::string& name);

}  // namespace laconic
