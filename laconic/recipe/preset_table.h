#pragma once

#include <span>
#include <string_view>

namespace laconic {

/// A file of `recipes/`, put into the program when it is configured.
struct Preset {
  std::string_view name;  ///< the file's name without .yaml
  std::string_view yaml;
};
std::span<const Preset> preset_table();

/// The first line of a preset's YAML, a comment that says what it is, without "# ".
std::string_view preset_summary(const Preset& preset);

}  // namespace laconic
