#include "laconic/recipe/plan.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <set>

#include "laconic/base/text.h"
#include "laconic/export/gguf/row_fallback.h"
#include "laconic/recipe/last_match.h"

namespace laconic {
namespace {

bool in_blocks(const graph::LinearLayer& layer, const LanguageModel& model) {
  return block_of(model.blocks, layer) != nullptr;
}

bool is_wildcard(const std::string& pattern) {
  return pattern.starts_with("re:") || pattern.find_first_of("*?") != std::string::npos;
}

bool matches(const LayerPattern& pattern, const graph::LinearLayer& layer, bool inside) {
  if (pattern.text == "blocks") return inside;
  if (pattern.text == "head") return !inside;
  // The head is where errors cost most: it is quantized only when it is named.
  if (is_wildcard(pattern.text)) return inside && matches_pattern(layer.name, pattern.text);
  return layer.name == pattern.text;
}

std::string last_word(const std::string& name) { return name.substr(name.rfind('.') + 1); }

// The nearest whole name; for a wildcard, the pattern with the nearest last word in place of its
// own.
std::string nearest_layer(const std::string& pattern, const LanguageModel& model) {
  std::vector<std::string> names, words;
  for (const auto& layer : model.layers) {
    names.push_back(layer.name);
    const std::string word = last_word(layer.name);
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }
  const std::string name = nearest_word(pattern, names);
  if (!is_wildcard(pattern) && !name.empty()) return "; did you mean \"" + name + "\"?";
  const std::string word = nearest_word(last_word(pattern), words);
  if (!word.empty() && word != last_word(pattern)) return "; did you mean \"*." + word + "\"?";
  return "; the nearest is \"" + (name.empty() ? names.front() : name) + "\". Layers end in {" +
         join(words, ", ") + "}.";
}

// What a pattern that matches no linear layer means, when it is meant for an embedding; else empty.
std::string embedding_sentence(const std::string& pattern, const LanguageModel& model) {
  for (const graph::Node& node : model.graph.nodes) {
    if (node.target != "aten::embedding" || !matches_pattern(node.module, pattern)) continue;
    return ": " + node.module +
           " is an embedding, which stays in float; linear layers are quantized, the head among "
           "them by its name, once its weight is its own (transform fold_norms).";
  }
  return "";
}

void check_patterns(const Recipe& recipe, const LanguageModel& model) {
  TORCH_CHECK_VALUE(!model.layers.empty(), "[recipe] ", model.directory.string(),
                    ": the model has no linear layer.");
  for (const LayerRule& rule : recipe.rules) {
    for (const LayerPattern& pattern : rule.layers) {
      const bool found = std::any_of(
          model.layers.begin(), model.layers.end(),
          [&](const auto& layer) { return matches(pattern, layer, in_blocks(layer, model)); });
      if (found) continue;
      const std::string embedding = embedding_sentence(pattern.text, model);
      TORCH_CHECK_VALUE(false, pattern.where, ": layers: \"", pattern.text,
                        "\" matches no linear layer of ", model.directory.string(),
                        embedding.empty() ? nearest_layer(pattern.text, model) : embedding);
    }
  }
}

// At most `limit`; what a group size may be instead.
int64_t largest_divisor(int64_t length, int64_t limit) {
  for (int64_t size = std::min(limit, length); size > 1; --size) {
    if (length % size == 0) return size;
  }
  return length;
}

void check_group(const LayerRule& rule, const NativeLayer& layer) {
  const auto* group = std::get_if<PerGroup>(&layer.weight.granularity);
  if (group == nullptr) return;
  const std::string& where = rule.layers.front().where;
  TORCH_CHECK_VALUE(group->axis >= -2 && group->axis < 2, where,
                    ": weight: axis: expected 0 (outputs) or 1 (inputs), got ", group->axis, ".");
  const int64_t length = layer.shape.at(static_cast<size_t>((group->axis + 2) % 2));
  TORCH_CHECK_VALUE(group->pad || length % group->group_size == 0, where, ": weight: group_size ",
                    group->group_size, " does not divide the ", length,
                    (group->axis + 2) % 2 == 1 ? " inputs" : " outputs", " of ", layer.name,
                    ". Choose a divisor such as ", largest_divisor(length, group->group_size),
                    ", set pad: true, or give this layer a rule of its own.");
}

void check_channel(const LayerRule& rule, const NativeLayer& layer) {
  const auto* channel = std::get_if<PerChannel>(&layer.weight.granularity);
  if (channel == nullptr) return;
  TORCH_CHECK_VALUE(channel->axis >= -2 && channel->axis < 2, rule.layers.front().where,
                    ": weight: axis: expected 0 (outputs) or 1 (inputs), got ", channel->axis, ".");
}

NativeLayer outcome_of(const graph::LinearLayer& layer, const LayerRule& rule,
                       const LanguageModel& model) {
  NativeLayer outcome{layer.name,   layer.weight_name, layer.transposed,
                      *rule.weight, rule.input,        {}};
  outcome.shape = model.parameters->describe(layer.weight_name).shape;
  TORCH_CHECK_VALUE(outcome.shape.size() == 2, "[recipe] ", layer.weight_name,
                    ": expected a matrix, got ", outcome.shape.size(), " dimensions.");
  if (layer.transposed) std::swap(outcome.shape[0], outcome.shape[1]);
  return outcome;
}

// Layers of a block that are solved together have one solver.
void check_joint(const QuantizationPlan& plan, const LanguageModel& model) {
  std::map<const graph::Block*, const LayerPlan*> first;
  for (const LayerPlan& layer : plan.layers) {
    if (!layer.is_joint) continue;
    const LayerPlan& other =
        *first.emplace(block_of(model.blocks, layer.layer), &layer).first->second;
    const LayerRule &rule = *plan.rules.at(layer.layer.name),
                    &others = *plan.rules.at(other.layer.name);
    TORCH_CHECK_VALUE(rule.solver == others.solver && rule.solver_options == others.solver_options,
                      rule.layers.front().where, ": solver: ", layer.layer.name, " and ",
                      other.layer.name, " are in one block, which ", rule.solver,
                      " solves as a whole: expected the same solver ", "and options for both, got ",
                      others.solver, " ", others.solver_options.dump(), " and ", rule.solver, " ",
                      rule.solver_options.dump(), ".");
  }
}

// Whether a solver that knows the option is asked for it.
bool has_fisher(const Solver& solver, const LayerRule& rule) {
  return solver.default_options().contains("fisher") && rule.solver_options.value("fisher", false);
}

LayerPlan layer_plan(const graph::LinearLayer& layer, const LayerRule& rule, const Solver& solver,
                     const Recipe& recipe) {
  const bool corrects = rule.bias_correction != BiasCorrection::kNone;
  const bool follows =
      recipe.calibration.follow_float || rule.bias_correction == BiasCorrection::kFloat;
  return {.layer = layer,
          .weight = *rule.weight,
          .input = rule.input,
          .needs_hessian = solver.needs_hessian || follows || corrects,
          .needs_mismatch = (solver.needs_hessian && solver.needs_mismatch) || follows,
          .is_joint = solver.solve_block != nullptr,
          .has_fisher = has_fisher(solver, rule),
          .bias = rule.bias_correction};
}

}  // namespace

QuantizationPlan plan_quantization(const Recipe& recipe, const LanguageModel& model,
                                   const Parts& parts) {
  check_patterns(recipe, model);
  QuantizationPlan plan;
  for (const graph::LinearLayer& layer : model.layers) {
    const bool inside = in_blocks(layer, model);
    const LayerRule* rule = last_match(
        recipe.rules, [&](const LayerPattern& pattern) { return matches(pattern, layer, inside); });
    if (rule == nullptr || rule->skip) continue;
    NativeLayer& outcome = plan.outcome.emplace_back(outcome_of(layer, *rule, model));
    plan.layers.push_back(layer_plan(layer, *rule, find_solver(parts, rule->solver), recipe));
    if (const auto fallback = row_fallback(outcome)) {
      plan.layers.back().weight = outcome.weight = fallback->weight;
      plan.layers.back().notes.push_back(fallback->note);
    }
    plan.layers.back().is_joint = plan.layers.back().is_joint && inside;
    check_group(*rule, outcome);
    check_channel(*rule, outcome);
    plan.rules[layer.name] = rule;
    plan.needs_calibration = plan.needs_calibration || plan.layers.back().needs_hessian ||
                             plan.layers.back().has_static_input();
  }
  TORCH_CHECK_VALUE(!plan.layers.empty(), "[recipe] ", recipe.name,
                    ": every layer is skipped: nothing to quantize.");
  check_joint(plan, model);
  return plan;
}

}  // namespace laconic
