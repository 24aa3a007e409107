#include <c10/util/Exception.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "laconic/base/text.h"
#include "laconic/solve/gptq/gptq.h"
#include "laconic/solve/problem.h"

namespace laconic::gptq {
namespace {

const std::vector<std::string>& group_scale_words() {
  static const std::vector<std::string> words = {"before", "during", "live"};
  return words;
}

GroupScales parse_group_scales(const nlohmann::json& value) {
  const auto& words = group_scale_words();
  TORCH_CHECK_VALUE(value.is_string(), "[gptq] group_scales: expected one of ", join(words, ", "),
                    ", got ", value.dump(), ".");
  const auto word = value.get<std::string>();
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return static_cast<GroupScales>(i);
  }
  TORCH_CHECK_VALUE(false, "[gptq] group_scales: unknown word \"", word, "\"",
                    suggestion(word, words), ".");
}

}  // namespace

GptqOptions parse_options(const nlohmann::json& options) {
  check_option_names("gptq", options,
                     {"damping", "block_size", "activation_order", "group_scales"});
  GptqOptions parsed;
  if (options.contains("damping")) {
    const auto& value = options["damping"];
    TORCH_CHECK_VALUE(value.is_number() && value.get<double>() >= 0 && value.get<double>() <= 1e6,
                      "[gptq] damping: expected a number from 0 to 1e6 (0.01 is usual), got ",
                      value.dump(), ".");
    parsed.damping = value.get<double>();
  }
  if (options.contains("block_size")) {
    const auto& value = options["block_size"];
    TORCH_CHECK_VALUE(
        value.is_number_integer() && value.get<int64_t>() >= 1 && value.get<int64_t>() <= 65536,
        "[gptq] block_size: expected a whole number from 1 to 65536, got ", value.dump(), ".");
    parsed.block_size = value.get<int64_t>();
  }
  if (options.contains("activation_order")) {
    const auto& value = options["activation_order"];
    TORCH_CHECK_VALUE(value.is_boolean(), "[gptq] activation_order: expected true or false, got ",
                      value.dump(), ".");
    parsed.activation_order = value.get<bool>();
  }
  if (options.contains("group_scales"))
    parsed.group_scales = parse_group_scales(options["group_scales"]);
  TORCH_CHECK_VALUE(
      !parsed.activation_order || parsed.group_scales != GroupScales::kDuring,
      "[gptq] activation_order and group_scales \"during\" exclude each other: in the order of the "
      "activations a group has no first column. Set group_scales to \"before\".");
  return parsed;
}

void check_options(const nlohmann::json& options) { parse_options(options); }

nlohmann::json default_options() {
  const GptqOptions defaults;
  return {{"damping", defaults.damping},
          {"block_size", defaults.block_size},
          {"activation_order", defaults.activation_order},
          {"group_scales", group_scale_words()[static_cast<size_t>(defaults.group_scales)]}};
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, parse_options(options));
}

}  // namespace laconic::gptq
