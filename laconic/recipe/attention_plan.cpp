#include "laconic/recipe/attention_plan.h"

#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "laconic/base/text.h"
#include "laconic/graph/run.h"
#include "laconic/recipe/last_match.h"

namespace laconic {
namespace {

using graph::AttentionQuantizers;

void check_patterns(const Recipe& recipe, const std::vector<std::string>& modules,
                    const LanguageModel& model) {
  for (const AttentionRule& rule : recipe.attention) {
    for (const LayerPattern& pattern : rule.layers) {
      const bool found = std::any_of(modules.begin(), modules.end(), [&](const auto& module) {
        return matches_pattern(module, pattern.text);
      });
      TORCH_CHECK_VALUE(
          found, pattern.where, ": layers: \"", pattern.text, "\" matches no attention of ",
          model.directory.string(),
          modules.empty() ? ", which has none." : "; the first is \"" + modules.front() + "\".");
    }
  }
}

bool has_groups(const AttentionQuantizers& quantizers) {
  const auto is_group = [](const std::optional<QuantSpec>& spec) {
    return spec && std::holds_alternative<PerGroup>(spec->granularity);
  };
  return is_group(quantizers.queries) || is_group(quantizers.keys) || is_group(quantizers.values);
}

/// Ends a run at its first attention.
struct FoundHead {
  int64_t queries, keys, values;
};

/// Sizes of the heads of the model's first attention: of one token that is run up to it.
FoundHead first_heads(const LanguageModel& model) {
  const graph::Runner runner(model.graph);
  std::map<graph::NodeId, graph::NodeFunction> stop;
  for (graph::NodeId id = 0; id < model.graph.size(); ++id)
    if (model.graph.at(id).target == "laconic::attention")
      stop[id] = [](torch::jit::Stack& arguments) -> at::Tensor {
        throw FoundHead{arguments[0].toTensor().size(-1), arguments[1].toTensor().size(-1),
                        arguments[2].toTensor().size(-1)};
      };
  try {
    runner.run_with(stop, at::zeros({1, 1}, at::kLong), *model.parameters);
  } catch (const FoundHead& heads) {
    return heads;
  }
  TORCH_CHECK(false, "[attention] the network ended before its attention.");
}

void check_group(const std::optional<QuantSpec>& spec, const char* role, int64_t size,
                 const AttentionRule& rule) {
  const auto* group = spec ? std::get_if<PerGroup>(&spec->granularity) : nullptr;
  if (group == nullptr || group->pad || size % group->group_size == 0) return;
  TORCH_CHECK_VALUE(false, rule.layers.front().where, ": ", role, ": group_size ",
                    group->group_size, " does not divide the ", size,
                    " features of a head. Choose a divisor, or set pad: true.");
}

}  // namespace

std::map<std::string, AttentionQuantizers> plan_attention(const Recipe& recipe,
                                                          const LanguageModel& model) {
  std::map<std::string, AttentionQuantizers> plan;
  if (recipe.attention.empty()) return plan;
  const auto modules = graph::attention_modules(model.graph);
  check_patterns(recipe, modules, model);
  std::optional<FoundHead> heads;
  for (const std::string& module : modules) {
    const AttentionRule* rule = last_match(recipe.attention, [&](const LayerPattern& pattern) {
      return matches_pattern(module, pattern.text);
    });
    if (rule == nullptr || rule->skip) continue;
    plan[module] = rule->quantizers;
    if (!has_groups(rule->quantizers)) continue;
    if (!heads) heads = first_heads(model);
    check_group(rule->quantizers.queries, "queries", heads->queries, *rule);
    check_group(rule->quantizers.keys, "keys", heads->keys, *rule);
    check_group(rule->quantizers.values, "values", heads->values, *rule);
  }
  return plan;
}

std::vector<std::string> describe_attention(
    const std::map<std::string, AttentionQuantizers>& quantizers) {
  std::map<std::string, int64_t> counts;
  const auto count = [&](const char* role, const std::optional<QuantSpec>& spec, int64_t residual) {
    if (!spec) return;
    const std::string recent =
        residual > 0 ? ", the last " + std::to_string(residual) + " in float" : "";
    ++counts[role + (": " + to_string(*spec)) + recent];
  };
  for (const auto& [module, one] : quantizers) {
    count("queries", one.queries, 0);
    count("probabilities", one.probabilities, 0);
    count("keys", one.keys, one.residual);
    count("values", one.values, one.residual);
  }
  std::vector<std::string> lines;
  for (const auto& [text, times] : counts)
    lines.push_back("attention: " + text + " (" + std::to_string(times) + " attentions)");
  return lines;
}

}  // namespace laconic
