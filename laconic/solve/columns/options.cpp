#include "laconic/solve/columns/options.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>
#include <string>

#include "laconic/base/text.h"
#include "laconic/solve/problem.h"

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

int64_t parse_whole(const OptionRules& rules, const char* key, const nlohmann::json& value,
                    int64_t low, int64_t high) {
  TORCH_CHECK_VALUE(
      value.is_number_integer() && value.get<int64_t>() >= low && value.get<int64_t>() <= high, "[",
      rules.solver, "] ", key, ": expected a whole number from ", low, " to ", high, ", got ",
      value.dump(), ".");
  return value.get<int64_t>();
}

bool parse_flag(const OptionRules& rules, const char* key, const nlohmann::json& value) {
  TORCH_CHECK_VALUE(value.is_boolean(), "[", rules.solver, "] ", key,
                    ": expected true or false, got ", value.dump(), ".");
  return value.get<bool>();
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
  found.bits = parse_whole(rules, "accumulator_bits", options["accumulator_bits"], 2, 32);
  if (has_tile)
    found.tile =
        parse_whole(rules, "accumulator_tile", options["accumulator_tile"], 0, int64_t{1} << 30);
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

double parse_number(const char* solver, const char* key, const nlohmann::json& value, double low,
                    double high) {
  TORCH_CHECK_VALUE(value.is_number() && value.get<double>() >= low && value.get<double>() <= high,
                    "[", solver, "] ", key, ": expected a number from ", low, " to ", high,
                    ", got ", value.dump(), ".");
  return value.get<double>();
}

Options parse(const OptionRules& rules, const nlohmann::json& options, Options parsed) {
  check_option_names(rules.solver, options, known_names(rules));
  if (options.contains("damping"))
    parsed.damping = parse_number(rules.solver, "damping", options["damping"], 0, 1e6);
  if (options.contains("block_size"))
    parsed.block_size = parse_whole(rules, "block_size", options["block_size"], 1, 65536);
  if (options.contains("activation_order"))
    parsed.activation_order = parse_flag(rules, "activation_order", options["activation_order"]);
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
