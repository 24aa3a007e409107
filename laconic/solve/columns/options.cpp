#include "laconic/solve/columns/options.h"

#include <c10/util/Exception.h>

#include <string>

#include "laconic/base/text.h"
#include "laconic/file/json/options.h"

namespace laconic::columns {
namespace {

std::vector<std::string> group_scale_words(const OptionRules& rules) {
  std::vector<std::string> words = {"before", "during"};
  if (rules.has_live_scales) words.emplace_back("live");
  return words;
}

GroupScales parse_group_scales(const OptionRules& rules, const nlohmann::json& value) {
  const auto words = group_scale_words(rules);
  TORCH_CHECK_VALUE(value.is_string(), "[", rules.solver, "] group_scales: expected one of ",
                    join(words, ", "), ", got ", value.dump(), ".");
  const auto word = value.get<std::string>();
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return static_cast<GroupScales>(i);
  }
  TORCH_CHECK_VALUE(false, "[", rules.solver, "] group_scales: unknown word \"", word, "\"",
                    suggestion(word, words), ".");
}

std::optional<Accumulator> parse_accumulator(const OptionRules& rules,
                                             const nlohmann::json& options) {
  const bool has_bits = options.contains("accumulator_bits") && options["accumulator_bits"] != 0;
  const bool has_tile = options.contains("accumulator_tile") && options["accumulator_tile"] != 0;
  TORCH_CHECK_VALUE(has_bits || !has_tile, "[", rules.solver,
                    "] accumulator_tile: expected accumulator_bits beside it, which says what a "
                    "tile's sum may take. Set accumulator_bits.");
  if (!has_bits) return std::nullopt;
  Accumulator found;
  found.bits = integer_option(rules.solver, options, "accumulator_bits", 2, 32);
  if (has_tile)
    found.tile = integer_option(rules.solver, options, "accumulator_tile", 0, int64_t{1} << 30);
  return found;
}

std::vector<std::string> known_names(const OptionRules& rules) {
  std::vector<std::string> names = {"block_size", "activation_order", "group_scales",
                                    "accumulator_bits", "accumulator_tile"};
  if (rules.has_damping) names.insert(names.begin(), "damping");
  names.insert(names.end(), rules.more.begin(), rules.more.end());
  return names;
}

}  // namespace

Options parse(const OptionRules& rules, const nlohmann::json& options, Options parsed) {
  check_option_names(rules.solver, options, known_names(rules));
  if (options.contains("damping"))
    parsed.damping = number_option(rules.solver, options, "damping", 0, 1e6);
  if (options.contains("block_size"))
    parsed.block_size = integer_option(rules.solver, options, "block_size", 1, 65536);
  if (options.contains("activation_order"))
    parsed.activation_order = boolean_option(rules.solver, options, "activation_order");
  if (options.contains("group_scales"))
    parsed.group_scales = parse_group_scales(rules, options["group_scales"]);
  if (const auto accumulator = parse_accumulator(rules, options)) parsed.accumulator = accumulator;
  TORCH_CHECK_VALUE(
      !parsed.activation_order || parsed.group_scales != GroupScales::kDuring, "[", rules.solver,
      "] activation_order and group_scales \"during\" exclude each other: in the order of the "
      "activations a group has no first column. Set group_scales to \"before\".");
  TORCH_CHECK_VALUE(!parsed.accumulator || parsed.group_scales != GroupScales::kLive, "[",
                    rules.solver,
                    "] accumulator_bits and group_scales \"live\" exclude each other: the codes "
                    "that fit the accumulator are found anew. Set group_scales to \"before\".");
  return parsed;
}

nlohmann::json to_json(const OptionRules& rules, const Options& options) {
  nlohmann::json json = {
      {"block_size", options.block_size},
      {"activation_order", options.activation_order},
      {"group_scales", group_scale_words(rules).at(static_cast<size_t>(options.group_scales))},
      {"accumulator_bits", options.accumulator ? options.accumulator->bits : 0},
      {"accumulator_tile", options.accumulator ? options.accumulator->tile : 0}};
  if (rules.has_damping) json["damping"] = options.damping;
  return json;
}

}  // namespace laconic::columns
