#include <c10/util/Exception.h>

#include "laconic/base/text.h"
#include "laconic/recipe/preset_table.h"
#include "laconic/recipe/recipe.h"

namespace laconic {

std::string_view preset_summary(const Preset& preset) {
  const std::string_view line = preset.yaml.substr(0, preset.yaml.find('\n'));
  return line.starts_with("# ") ? line.substr(2) : std::string_view();
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : preset_table()) names.emplace_back(preset.name);
  return names;
}

std::string preset_yaml(const std::string& name) {
  for (const Preset& preset : preset_table()) {
    if (preset.name == name) return std::string(preset.yaml);
  }
  TORCH_CHECK_VALUE(false, "[recipe] unknown preset \"", name, "\"",
                    suggestion(name, preset_names()),
                    ". A file of your own is named by its path, such as ./mine.yaml.");
}

}  // namespace laconic
