#include <c10/util/Exception.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "laconic/base/atomic_file.h"
#include "laconic/cli/commands.h"
#include "laconic/quant/picture/gallery.h"
#include "laconic/quant/picture/picture.h"
#include "laconic/quant/presets/presets.h"
#include "laconic/quant/quantizer/quant_spec.h"
#include "laconic/quant/quantizer/yaml.h"
#include "laconic/recipe/preset_table.h"
#include "laconic/recipe/recipe.h"

namespace laconic {
namespace {

template <typename Variant>
nlohmann::json our_names() {
  auto names = nlohmann::json::array();
  for_each_part<Variant>([&](auto part) { names.push_back(part.kName); });
  if constexpr (std::is_same_v<Variant, Format>) {
    for (const auto& [name, format] : named_formats()) names.push_back(name);
  }
  return names;
}

template <typename Variant>
nlohmann::json part_names(const QuantParts& own) {
  auto names = our_names<Variant>();
  for (const auto& part : parts_of<Variant>(own)) names.push_back(part.name);
  return names;
}

nlohmann::json quantizer_words(const QuantParts& own) {
  return {{"format", part_names<Format>(own)},
          {"granularity", part_names<Granularity>(own)},
          {"scale", part_names<Scale>(own)},
          {"statistic", part_names<Statistic>(own)},
          {"restriction", part_names<Restriction>(own)},
          {"zero_point", part_names<ZeroPoint>(own)},
          {"rounding", part_names<Rounding>(own)},
          {"gradient", part_names<Gradient>(own)},
          {"zero_point_minimum", our_names<Minimum>()},
          {"bit_width", our_names<BitWidth>()}};
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

void print_quantizers(const Session& session) {
  constexpr size_t kWidth = 20;
  const nlohmann::json words = quantizer_words(session.parts.quantizers);
  auto methods = nlohmann::json::array();
  for (const Solver& solver : solvers()) {
    methods.push_back({{"name", solver.name},
                       {"summary", solver.summary},
                       {"paper", solver.paper},
                       {"options", solver.default_options()}});
  }
  auto presets = nlohmann::json::array();
  for (const QuantPreset& preset : quant_presets()) {
    presets.push_back(
        {{"name", preset.name}, {"family", preset.family}, {"composition", to_string(preset)}});
  }
  if (session.json)
    return print(nlohmann::json{{"quantizer", words}, {"solvers", methods}, {"presets", presets}});
  std::string text =
      "A quantizer is made of these parts (docs/quantizers.md says what each means):\n";
  for (const auto& [kind, names] : words.items()) {
    text += "  " + padded(kind, kWidth);
    for (size_t i = 0; i < names.size(); ++i)
      text += (i > 0 ? ", " : "") + names[i].get<std::string>();
    text += '\n';
  }
  text += "Solvers:\n";
  for (const auto& method : methods) {
    text += "  " + padded(method["name"], kWidth) + method["summary"].get<std::string>() +
            "; options with defaults: " + method["options"].dump() + "\n";
  }
  text += "Quantizers that have a name (quant_preset in C++), by those of Brevitas:\n";
  for (const auto& preset : presets) {
    text += "  " + padded(preset["name"], 44) + preset["composition"].get<std::string>() + "\n";
  }
  print(text);
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

void draw_pictures(const std::filesystem::path& directory, const Session& session) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  TORCH_CHECK_VALUE(!failure, "[recipes] --pictures ", directory.string(),
                    ": cannot make this directory (", failure.message(), "). Name another.");
  auto names = nlohmann::json::array();
  for (const Illustration& each : illustrations()) {
    const QuantSpec spec = quant_spec_from_yaml(each.yaml, each.name);
    write_text_file(directory / (each.name + ".svg"), picture(spec));
    names.push_back(each.name);
  }
  if (session.json) return print(nlohmann::json{{"pictures", names}});
  print("wrote " + std::to_string(names.size()) + " pictures to " + directory.string() + "\n");
}

}  // namespace

void run_command(const RecipesCommand& command, const Session& session) {
  if (!command.pictures.empty()) return draw_pictures(command.pictures, session);
  if (command.quantizers) return print_quantizers(session);
  if (command.name.empty()) return print_list(session);
  const std::string yaml = preset_yaml(command.name);
  if (session.json) return print(nlohmann::json{{"name", command.name}, {"yaml", yaml}});
  print(yaml);
}

}  // namespace laconic
