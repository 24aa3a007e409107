#pragma once

#include <yaml-cpp/yaml.h>

#include <span>
#include <string>

namespace laconic {

/// Changes a recipe's YAML by "key=value" settings, in order (see load_recipe).
/// @throws c10::ValueError naming the setting: no "=", a value that is no YAML, a key whose way
/// through
///         the recipe ends early.
void apply_settings(YAML::Node recipe, std::span<const std::string> settings);

/// A deep copy of which no two places share a node, and without positions, so that messages about a
/// changed recipe do not point into the text of the unchanged one.
YAML::Node without_marks(const YAML::Node& node);

}  // namespace laconic
