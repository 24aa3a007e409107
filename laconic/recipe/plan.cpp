#include "laconic/recipe/plan.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "laconic/export/gguf/row_fallback.h"
#include "laconic/recipe/last_match.h"
#include "laconic/recipe/layer_patterns.h"

namespace laconic {
namespace {

// At most `limit`; what a group size may be instead.
int64_t largest_divisor(int64_t length, int64_t limit) {
  for (int64_t size = std::min(limit, length); size > 1; --size) {
    if (length % size == 0) return size;
  }
  return length;
}

// Along the axis of a weight: 0 or 1.
const char* sides(const NativeLayer& layer, int64_t axis) {
  if (layer.is_embedding) return axis == 1 ? " numbers of a row" : " rows";
  return axis == 1 ? " inputs" : " outputs";
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
                    sides(layer, (group->axis + 2) % 2), " of ", layer.name,
                    ". Choose a divisor such as ", largest_divisor(length, group->group_size),
                    ", set pad: true, or give this layer a rule of its own.");
}

void check_channel(const LayerRule& rule, const NativeLayer& layer) {
  const auto* channel = std::get_if<PerChannel>(&layer.weight.granularity);
  if (channel == nullptr) return;
  TORCH_CHECK_VALUE(channel->axis >= -2 && channel->axis < 2, rule.layers.front().where,
                    ": weight: axis: expected 0 (outputs) or 1 (inputs), got ", channel->axis, ".");
}

// Heads and blocks; groups and channels have words of their own above.
void check_layout(const LayerRule& rule, const NativeLayer& layer) {
  try {
    check_granularity(layer.weight.granularity, layer.shape);
  } catch (const c10::ValueError& error) {
    TORCH_CHECK_VALUE(false, rule.layers.front().where, ": weight of ", layer.name, ": ",
                      error.what_without_backtrace());
  }
}

NativeLayer outcome_of(const graph::LinearLayer& layer, const LayerRule& rule,
                       const LanguageModel& model) {
  NativeLayer outcome{layer.name, layer.weight_name, layer.transposed, *rule.weight, rule.input,
                      {},         layer.is_embedding};
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

// An embedding multiplies nothing: what follows inputs and outputs is not for it.
void check_embedding(const LayerRule& rule, const graph::LinearLayer& layer, const Solver& solver) {
  const std::string where = rule.layers.front().where, name = layer.name + " is an embedding";
  constexpr const char* kMend = " Give it a rule of its own.";
  TORCH_CHECK_VALUE(!rule.input, where, ": input: ", name,
                    ": expected no quantizer of its input, which is ids.", kMend);
  TORCH_CHECK_VALUE(!solver.needs_hessian && solver.solve_block == nullptr, where,
                    ": solver: ", name,
                    ": expected a solver that looks at the weight alone, such as nearest, got ",
                    rule.solver, ".", kMend);
  TORCH_CHECK_VALUE(rule.bias_correction == BiasCorrection::kNone, where,
                    ": bias_correction: ", name, ": expected none, for it has no bias.", kMend);
}

// Whether a tied head asks for nothing but what its embedding gets.
bool goes_with(const LayerPlan& head, const LayerPlan& embedding, const QuantizationPlan& plan) {
  const LayerRule &rule = *plan.rules.at(head.layer.name),
                  &other = *plan.rules.at(embedding.layer.name);
  return head.layer.weight_name == embedding.layer.weight_name && !head.layer.transposed &&
         head.weight == embedding.weight && !head.input && rule.solver == other.solver &&
         rule.solver_options == other.solver_options && head.bias == BiasCorrection::kNone;
}

// The weight of an embedding and of the head that is tied to it is quantized once.
void join_tied(QuantizationPlan& plan) {
  for (size_t i = 0; i < plan.layers.size() && plan.layers[i].layer.is_embedding; ++i) {
    for (size_t j = plan.layers.size() - 1; j > i; --j) {
      LayerPlan& embedding = plan.layers[i];
      const std::string name = plan.layers[j].layer.name;
      if (plan.layers[j].layer.is_embedding || !goes_with(plan.layers[j], embedding, plan))
        continue;
      embedding.tied.push_back(name);
      embedding.notes.push_back(name + " is tied to it: both read this one weight.");
      plan.layers.erase(plan.layers.begin() + static_cast<std::ptrdiff_t>(j));
      plan.outcome.erase(plan.outcome.begin() + static_cast<std::ptrdiff_t>(j));
      plan.rules.erase(name);
    }
  }
}

// Whether a solver that knows the option is asked for it.
bool has_fisher(const Solver& solver, const LayerRule& rule) {
  return solver.default_options().contains("fisher") && rule.solver_options.value("fisher", false);
}

LayerPlan layer_plan(const graph::LinearLayer& layer, const LayerRule& rule, const Solver& solver,
                     const Recipe& recipe) {
  if (layer.is_embedding) return {.layer = layer, .weight = *rule.weight, .input = std::nullopt};
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

// What rules are planned for.
struct Planning {
  const Recipe& recipe;
  const LanguageModel& model;
  const Parts& parts;
};

void add_layer(const graph::LinearLayer& layer, const LayerRule& rule, const Planning& planning,
               QuantizationPlan& plan) {
  const Solver& solver = find_solver(planning.parts, rule.solver);
  if (layer.is_embedding) check_embedding(rule, layer, solver);
  NativeLayer& outcome = plan.outcome.emplace_back(outcome_of(layer, rule, planning.model));
  LayerPlan& added = plan.layers.emplace_back(layer_plan(layer, rule, solver, planning.recipe));
  if (const auto fallback = row_fallback(outcome)) {
    added.weight = outcome.weight = fallback->weight;
    added.notes.push_back(fallback->note);
  }
  added.is_joint = added.is_joint && block_of(planning.model.blocks, layer) != nullptr;
  check_group(rule, outcome);
  check_channel(rule, outcome);
  check_layout(rule, outcome);
  plan.rules[layer.name] = &rule;
  plan.needs_calibration =
      plan.needs_calibration || added.needs_hessian || added.has_static_input();
}

}  // namespace

QuantizationPlan plan_quantization(const Recipe& recipe, const LanguageModel& model,
                                   const Parts& parts) {
  const LayerPatterns patterns(model);
  patterns.check(recipe.rules);
  QuantizationPlan plan;
  for (const auto* layers : {&patterns.embeddings(), &model.layers}) {
    for (const graph::LinearLayer& layer : *layers) {
      const LayerRule* rule = last_match(recipe.rules, [&](const LayerPattern& pattern) {
        return patterns.matches(pattern, layer);
      });
      if (rule != nullptr && !rule->skip) add_layer(layer, *rule, {recipe, model, parts}, plan);
    }
  }
  TORCH_CHECK_VALUE(!plan.layers.empty(), "[recipe] ", recipe.name,
                    ": every layer is skipped: nothing to quantize.");
  join_tied(plan);
  check_joint(plan, model);
  return plan;
}

}  // namespace laconic
