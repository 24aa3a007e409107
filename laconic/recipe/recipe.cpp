#include "laconic/recipe/recipe.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>

#include "laconic/base/atomic_file.h"
#include "laconic/base/table.h"
#include "laconic/base/text.h"
#include "laconic/quant/quantizer/yaml.h"
#include "laconic/recipe/parts.h"
#include "laconic/recipe/settings.h"
#include "laconic/recipe/yaml_document.h"

namespace laconic {
namespace {

constexpr int64_t kMaximumWindows = 1 << 20, kMaximumLength = 1 << 20;
constexpr uint64_t kMaximumRecipeBytes = uint64_t{1} << 20;

// A plain scalar as JSON has it: true, 3, 0.5, else text. What was quoted stays text.
nlohmann::json scalar_to_json(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text == "true" || text == "false") return text == "true";
  const char* const end = text.data() + text.size();
  int64_t whole = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, whole);
      error == std::errc() && at == end)
    return whole;
  double real = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, real);
      error == std::errc() && at == end)
    return real;
  return text;
}

nlohmann::json to_json(const YAML::Node& node) {
  if (node.IsScalar()) return scalar_to_json(node);
  if (node.IsSequence()) {
    auto list = nlohmann::json::array();
    for (const auto& item : node) list.push_back(to_json(item));
    return list;
  }
  if (!node.IsMap()) return nullptr;
  auto object = nlohmann::json::object();
  for (const auto& entry : node) object[entry.first.Scalar()] = to_json(entry.second);
  return object;
}

LayerPattern read_pattern(const YAML::Node& node, const MappingReader& rule,
                          const std::string& where) {
  if (!node.IsScalar() || node.Scalar().empty()) {
    rule.fail(node, "layers: expected a layer name or a pattern such as \"*.q_proj\", got " +
                        describe(node) + ".");
  }
  try {
    matches_pattern("", node.Scalar());
  } catch (const c10::ValueError& error) {
    rule.fail(node, std::string("layers: ") + error.what_without_backtrace());
  }
  return {node.Scalar(), location(where, node.Mark())};
}

std::vector<LayerPattern> read_patterns(const YAML::Node& node, const MappingReader& rule,
                                        const std::string& where) {
  if (!node.IsSequence()) return {read_pattern(node, rule, where)};
  std::vector<LayerPattern> patterns;
  for (const auto& item : node) patterns.push_back(read_pattern(item, rule, where));
  if (patterns.empty())
    rule.fail(node, "layers: expected at least one pattern, got an empty list.");
  return patterns;
}

void check_option_names(const YAML::Node& options, const Solver& solver,
                        const MappingReader& rule) {
  std::vector<std::string> known;
  const nlohmann::json defaults = solver.default_options();
  for (const auto& [key, value] : defaults.items()) known.push_back(key);
  for (const auto& entry : options) {
    const std::string& key = entry.first.Scalar();
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string hint = known.empty() ? "; it has none" : suggestion(key, known);
    rule.fail(entry.first, std::string("solver ") + solver.name + ": unknown option \"" + key +
                               "\"" + hint + ".");
  }
}

void read_solver(MappingReader& reader, LayerRule& rule, const Parts& parts) {
  const YAML::Node name = reader.find("solver");
  reader.read("solver", rule.solver);
  const YAML::Node options = reader.find("solver_options");
  const auto known = row_names(parts.solvers, solvers());
  if (std::find(known.begin(), known.end(), rule.solver) == known.end()) {
    reader.fail(name,
                "unknown solver \"" + rule.solver + "\"" + suggestion(rule.solver, known) + ".");
  }
  if (!options.IsDefined()) return;
  if (!options.IsMap())
    reader.fail(options, "solver_options: expected a mapping, got " + describe(options) + ".");
  const Solver& solver = find_solver(parts, rule.solver);
  check_option_names(options, solver, reader);
  rule.solver_options = to_json(options);
  try {
    solver.check_options(rule.solver_options);
  } catch (const c10::Error& error) {
    reader.fail(options, error.what_without_backtrace());
  }
}

std::optional<QuantSpec> read_spec(MappingReader& reader, const std::string& key,
                                   const std::string& where, const Parts& parts) {
  const YAML::Node node = reader.find(key);
  if (!node.IsDefined()) return std::nullopt;
  try {
    return quant_spec_from_node(node, where, parts.quantizers);
  } catch (const c10::ValueError& error) {
    // A changed recipe has no positions: "where:0:0" is none.
    std::string message = error.what_without_backtrace();
    const std::string nowhere = where + ":0:0";
    if (message.starts_with(nowhere)) message.replace(0, nowhere.size(), where);
    TORCH_CHECK_VALUE(false, message);
  }
}

// What a spec may be depends on what it is for: a weight has no tokens, and axes 0 (out) and 1
// (in).
void check_not_for_training(const YAML::Node& node, const char* what, const QuantSpec& spec,
                            const MappingReader& reader) {
  const bool trains = std::holds_alternative<RunningScale>(spec.scale) ||
                      std::holds_alternative<DecoupledScale>(spec.scale) ||
                      std::holds_alternative<WeightNormScale>(spec.scale) ||
                      std::holds_alternative<AccumulatorScale>(spec.scale);
  if (trains) {
    reader.fail(node, std::string(what) + ": the scale " + part_name(spec.scale) +
                          " is for training. Expected statistic, static, learned or constant.");
  }
  const auto rule = statistic_of(spec.scale);
  if (rule && rule->affine != Affine::kNone)
    reader.fail(node, std::string(what) + ": affine is for training. Expected none.");
  if (!std::holds_alternative<FixedBits>(spec.bit_width))
    reader.fail(node, std::string(what) + ": bit_width learned is for training. Expected fixed.");
}

void check_weight(const YAML::Node& node, const QuantSpec& spec, const MappingReader& reader) {
  check_not_for_training(node, "weight", spec, reader);
  if (std::holds_alternative<PerToken>(spec.granularity)) {
    reader.fail(node,
                "weight: granularity token is for inputs: a weight has none. Expected tensor, "
                "channel or group.");
  }
  const int64_t bits = stored_bits(spec.format), least = spec.format.index() == 0 ? 2 : 1;
  if (bits < least || bits > 8) {
    reader.fail(node, "weight: bits: expected " + std::to_string(least) + " to 8, got " +
                          std::to_string(bits) + ".");
  }
}

// A program's own solver may do as it likes.
void check_solver_takes(const YAML::Node& node, const LayerRule& rule, const Parts& parts,
                        const MappingReader& reader) {
  if (find_row(parts.solvers, rule.solver) != nullptr) return;
  if (takes_format(find_solver(rule.solver).takes, rule.weight->format)) return;
  reader.fail(node, "solver: " + rule.solver +
                        " takes codes that are worth the same everywhere, unlike those of the "
                        "format " +
                        describe(rule.weight->format) + ". Expected nearest.");
}

void read_bias_correction(MappingReader& reader, LayerRule& rule) {
  const auto& words = bias_correction_words();
  std::string word = words.front();
  reader.read("bias_correction", word);
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end())
    reader.fail(reader.find("bias_correction"),
                "bias_correction: unknown word \"" + word + "\"" + suggestion(word, words) + ".");
  rule.bias_correction = static_cast<BiasCorrection>(found - words.begin());
}

LayerRule read_rule(const YAML::Node& node, const std::string& where, const Parts& parts) {
  MappingReader reader(node, where, "rule");
  LayerRule rule;
  const YAML::Node layers = reader.find("layers");
  if (layers.IsDefined()) {
    rule.layers = read_patterns(layers, reader, where);
  } else {
    rule.layers = {{"blocks", location(where, node.Mark())}};
  }
  reader.read("skip", rule.skip);
  rule.weight = read_spec(reader, "weight", where, parts);
  rule.input = read_spec(reader, "input", where, parts);
  read_solver(reader, rule, parts);
  read_bias_correction(reader, rule);
  reader.finish();
  if (rule.weight) {
    check_weight(reader.find("weight"), *rule.weight, reader);
    check_solver_takes(reader.find("solver"), rule, parts, reader);
  }
  if (rule.input) check_not_for_training(reader.find("input"), "input", *rule.input, reader);
  if (rule.skip && (rule.weight || rule.input)) {
    reader.fail(
        node,
        "rule: skip leaves layers in float, but a weight or input is given as well. Remove one.");
  }
  if (!rule.skip && !rule.weight)
    reader.fail(node, "rule: expected weight: (a quantizer) or skip: true, got neither.");
  return rule;
}

// Runs of queries, keys and values as attention reads them, [batch, heads, tokens, head size].
void check_attention(const YAML::Node& node, const std::string& role, const QuantSpec& spec,
                     const MappingReader& reader) {
  check_not_for_training(node, role.c_str(), spec, reader);
  if (!std::holds_alternative<StatisticScale>(spec.scale) &&
      !std::holds_alternative<ConstantScale>(spec.scale))
    reader.fail(node, role +
                          ": scale: expected statistic (found anew for each token) or constant, "
                          "got " +
                          part_name(spec.scale) + ".");
  if (scales_beside(spec.format) > 0)
    reader.fail(node, role + ": the format " + describe(spec.format) +
                          " is for weights: a cache keeps one scale beside each number. Expected "
                          "another format.");
  const auto* group = std::get_if<PerGroup>(&spec.granularity);
  const bool within_token = group != nullptr && (group->axis == -1 || group->axis == 3);
  if (within_token || std::holds_alternative<PerToken>(spec.granularity)) return;
  reader.fail(node,
              role +
                  ": expected granularity token (a scale for each token and head) or "
                  "group along a head (axis -1): tokens that share a scale cannot be cached one "
                  "by one.");
}

/// A row of probabilities may be longer each time, so that nothing but the whole row has a scale.
void check_probabilities(const YAML::Node& node, const QuantSpec& spec,
                         const MappingReader& reader) {
  check_not_for_training(node, "probabilities", spec, reader);
  const bool is_constant = std::holds_alternative<ConstantScale>(spec.scale) &&
                           std::holds_alternative<PerTensor>(spec.granularity);
  const bool is_dynamic = std::holds_alternative<StatisticScale>(spec.scale) &&
                          std::holds_alternative<PerToken>(spec.granularity);
  if (is_constant || is_dynamic) return;
  reader.fail(node,
              "probabilities: expected granularity token (a scale for each query and head, found "
              "anew) or granularity tensor with scale constant, such as {bits: 8, signed: false, "
              "scale: constant, value: 0.00392157}.");
}

AttentionRule read_attention_rule(const YAML::Node& node, const std::string& where,
                                  const Parts& parts) {
  MappingReader reader(node, where, "attention rule");
  AttentionRule rule;
  const YAML::Node layers = reader.find("layers");
  rule.layers = layers.IsDefined() ? read_patterns(layers, reader, where)
                                   : std::vector<LayerPattern>{{"*", location(where, node.Mark())}};
  reader.read("skip", rule.skip);
  reader.read("residual", rule.quantizers.residual, 0, kMaximumLength);
  const auto read_role = [&](const char* role, std::optional<QuantSpec>& spec) {
    spec = read_spec(reader, role, where, parts);
    if (spec) check_attention(reader.find(role), role, *spec, reader);
    return spec.has_value();
  };
  bool any = read_role("queries", rule.quantizers.queries);
  const bool keys = read_role("keys", rule.quantizers.keys);
  const bool values = read_role("values", rule.quantizers.values);
  auto& probabilities = rule.quantizers.probabilities;
  probabilities = read_spec(reader, "probabilities", where, parts);
  if (probabilities) check_probabilities(reader.find("probabilities"), *probabilities, reader);
  any = any || keys || values || probabilities;
  reader.finish();
  if (probabilities && rule.quantizers.residual > 0)
    reader.fail(node,
                "attention rule: residual keeps the last keys and values in float, beside which "
                "probabilities cannot be quantized. Remove one.");
  if (any == rule.skip)
    reader.fail(
        node,
        "attention rule: expected quantizers (queries, keys, values, probabilities) or skip: true, "
        "got " +
            std::string(any ? "both." : "neither."));
  if (rule.quantizers.residual > 0 && !keys && !values)
    reader.fail(node,
                "attention rule: residual keeps the last keys and values in float: expected "
                "keys or values to be quantized.");
  return rule;
}

Recipe::Calibration read_calibration(const YAML::Node& node, const std::string& where) {
  MappingReader reader(node, where, "calibration");
  Recipe::Calibration calibration;
  reader.read("windows", calibration.windows, 1, kMaximumWindows);
  reader.read("length", calibration.length, 2, kMaximumLength);
  auto seed = static_cast<int64_t>(calibration.seed);
  reader.read("seed", seed, 0, std::numeric_limits<int64_t>::max());
  calibration.seed = static_cast<uint64_t>(seed);
  reader.read("field", calibration.field);
  reader.read("quantized_inputs", calibration.quantized_inputs);
  reader.read("follow_float", calibration.follow_float);
  reader.finish();
  return calibration;
}

TransformStep read_transform(const YAML::Node& node, const std::string& where, const Parts& parts) {
  MappingReader reader(node, where, "transform");
  TransformStep step;
  reader.read("name", step.name);
  const auto known = row_names(parts.transforms, transforms());
  if (std::find(known.begin(), known.end(), step.name) == known.end()) {
    const YAML::Node name = reader.find("name");
    if (!name.IsDefined())
      reader.fail(node, "transform: no \"name\": expected one of {" + join(known, ", ") + "}.");
    reader.fail(name,
                "unknown transform \"" + step.name + "\"" + suggestion(step.name, known) + ".");
  }
  const Transform& transform = find_transform(parts, step.name);
  const nlohmann::json defaults = transform.default_options();
  for (const auto& [key, value] : defaults.items()) {
    const YAML::Node option = reader.find(key);
    if (option.IsDefined()) step.options[key] = to_json(option);
  }
  reader.finish();
  try {
    transform.check_options(step.options);
  } catch (const c10::Error& error) {
    reader.fail(node, error.what_without_backtrace());
  }
  return step;
}

// Lists that may be absent: of transforms, of attention rules.
template <typename Item>
std::vector<Item> read_list(MappingReader& reader, const char* key, const char* example,
                            const std::string& where, const Parts& parts,
                            Item (*read)(const YAML::Node&, const std::string&, const Parts&)) {
  const YAML::Node node = reader.find(key);
  std::vector<Item> items;
  if (!node.IsDefined()) return items;
  if (!node.IsSequence())
    reader.fail(node, std::string(key) + ": expected a list such as " + example + ", got " +
                          describe(node) + ".");
  for (const auto& item : node) items.push_back(read(item, where, parts));
  return items;
}

Recipe read_recipe(const YAML::Node& node, const std::string& where, const Parts& parts) {
  MappingReader reader(node, where, "recipe");
  Recipe recipe;
  reader.read("name", recipe.name);
  reader.read("description", recipe.description);
  if (const YAML::Node calibration = reader.find("calibration"); calibration.IsDefined()) {
    recipe.calibration = read_calibration(calibration, where);
  }
  recipe.transforms = read_list<TransformStep>(reader, "transforms", "[{name: fold_norms}]", where,
                                               parts, read_transform);
  recipe.attention =
      read_list<AttentionRule>(reader, "attention", "[{keys: {bits: 8, granularity: token}}]",
                               where, parts, read_attention_rule);
  const YAML::Node rules = reader.find("rules");
  reader.finish();
  if (!rules.IsDefined())
    reader.fail(node, "recipe: no \"rules\": expected a list with at least one rule.");
  if (!rules.IsSequence() || rules.size() == 0) {
    reader.fail(rules, "rules: expected a list with at least one rule, got " +
                           (rules.IsSequence() ? "an empty list" : describe(rules)) + ".");
  }
  for (const auto& rule : rules) recipe.rules.push_back(read_rule(rule, where, parts));
  return recipe;
}

struct Source {
  std::string text, where, name;
};

Source find_source(const std::string& name_or_path) {
  const std::filesystem::path path = name_or_path;
  const bool is_path = name_or_path.find('/') != std::string::npos || path.extension() == ".yaml" ||
                       path.extension() == ".yml";
  if (!is_path) return {preset_yaml(name_or_path), "preset " + name_or_path, name_or_path};
  return {read_text_file(path, kMaximumRecipeBytes), name_or_path, path.stem().string()};
}

}  // namespace

Recipe parse_recipe(const std::string& yaml, const std::string& where, const Parts& parts) {
  return read_recipe(parse_yaml(yaml, where), where, parts);
}

Recipe load_recipe(const std::string& name_or_path, std::span<const std::string> settings,
                   const Parts& parts) {
  const Source source = find_source(name_or_path);
  // The unchanged recipe first: its faults have lines, those after a setting have not.
  Recipe recipe = parse_recipe(source.text, source.where, parts);
  if (!settings.empty()) {
    YAML::Node node = without_marks(parse_yaml(source.text, source.where));
    apply_settings(node, settings);
    std::string where = source.where + " with";
    for (const std::string& setting : settings) where += " --set " + setting;
    recipe = read_recipe(node, where, parts);
  }
  if (recipe.name.empty()) recipe.name = source.name;
  return recipe;
}

}  // namespace laconic
