#include <algorithm>
#include <nlohmann/json.hpp>

#include "laconic/cli/commands.h"
#include "laconic/recipe/preset_table.h"
#include "laconic/recipe/recipe.h"

namespace laconic {
namespace {

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

void print_list(const Session& session) {
  constexpr size_t kWidth = 20;
  auto list = nlohmann::json::array();
  std::string text;
  for (const Preset& preset : preset_table()) {
    list.push_back({{"name", preset.name}, {"summary", preset_summary(preset)}});
    text += padded(std::string(preset.name), kWidth) + std::string(preset_summary(preset)) + "\n";
  }
  if (session.json) return print(nlohmann::json{{"recipes", list}});
  print(text);
}

}  // namespace

void run_command(const RecipesCommand& command, const Session& session) {
  if (command.name.empty()) return print_list(session);
  const std::string yaml = preset_yaml(command.name);
  if (session.json) return print(nlohmann::json{{"name", command.name}, {"yaml", yaml}});
  print(yaml);
}

}  // namespace laconic
