#include <yaml-cpp/yaml.h>

#include "laconic/quant/quantizer/yaml.h"
#include "laconic/recipe/recipe.h"

namespace laconic {
namespace {

// Texts are quoted, so that "true" and "8" stay texts.
void emit(YAML::Emitter& out, const nlohmann::json& value) {
  if (value.is_object()) {
    out << YAML::Flow << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, item);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    out << YAML::Flow << YAML::BeginSeq;
    for (const auto& item : value) emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    out << YAML::DoubleQuoted << value.get<std::string>();
  } else {
    out << value.dump();
  }
}

void emit(YAML::Emitter& out, const char* key, const std::optional<QuantSpec>& spec) {
  if (!spec) return;
  out << YAML::Key << key << YAML::Value << YAML::Load(to_yaml(*spec));
}

void emit(YAML::Emitter& out, const std::vector<LayerPattern>& layers) {
  out << YAML::Key << "layers" << YAML::Value << YAML::Flow << YAML::BeginSeq;
  for (const LayerPattern& pattern : layers) out << YAML::DoubleQuoted << pattern.text;
  out << YAML::EndSeq;
}

void emit(YAML::Emitter& out, const LayerRule& rule) {
  out << YAML::BeginMap;
  emit(out, rule.layers);
  if (rule.skip) out << YAML::Key << "skip" << YAML::Value << true;
  emit(out, "weight", rule.weight);
  emit(out, "input", rule.input);
  if (!rule.skip) {
    out << YAML::Key << "solver" << YAML::Value << rule.solver;
    out << YAML::Key << "solver_options" << YAML::Value;
    emit(out, rule.solver_options);
    if (rule.bias_correction != BiasCorrection::kNone)
      out << YAML::Key << "bias_correction" << YAML::Value
          << bias_correction_words().at(static_cast<size_t>(rule.bias_correction));
  }
  out << YAML::EndMap;
}

void emit(YAML::Emitter& out, const AttentionRule& rule) {
  out << YAML::BeginMap;
  emit(out, rule.layers);
  if (rule.skip) out << YAML::Key << "skip" << YAML::Value << true;
  emit(out, "queries", rule.quantizers.queries);
  emit(out, "keys", rule.quantizers.keys);
  emit(out, "values", rule.quantizers.values);
  emit(out, "probabilities", rule.quantizers.probabilities);
  if (rule.quantizers.residual > 0)
    out << YAML::Key << "residual" << YAML::Value << rule.quantizers.residual;
  out << YAML::EndMap;
}

void emit(YAML::Emitter& out, const TransformStep& step) {
  out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << step.name;
  for (const auto& [key, value] : step.options.items()) {
    out << YAML::Key << key << YAML::Value;
    emit(out, value);
  }
  out << YAML::EndMap;
}

template <typename Item>
void emit_list(YAML::Emitter& out, const char* key, const std::vector<Item>& items) {
  out << YAML::Key << key << YAML::Value << YAML::BeginSeq;
  for (const Item& item : items) emit(out, item);
  out << YAML::EndSeq;
}

}  // namespace

std::string to_yaml(const Recipe& recipe) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  out << YAML::Key << "name" << YAML::Value << YAML::DoubleQuoted << recipe.name;
  out << YAML::Key << "description" << YAML::Value << YAML::DoubleQuoted << recipe.description;
  out << YAML::Key << "calibration" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "windows" << YAML::Value << recipe.calibration.windows;
  out << YAML::Key << "length" << YAML::Value << recipe.calibration.length;
  out << YAML::Key << "seed" << YAML::Value << recipe.calibration.seed;
  out << YAML::Key << "field" << YAML::Value << YAML::DoubleQuoted << recipe.calibration.field;
  out << YAML::Key << "follow_float" << YAML::Value << recipe.calibration.follow_float;
  out << YAML::Key << "quantized_inputs" << YAML::Value << recipe.calibration.quantized_inputs
      << YAML::EndMap;
  if (!recipe.transforms.empty()) emit_list(out, "transforms", recipe.transforms);
  emit_list(out, "rules", recipe.rules);
  if (!recipe.attention.empty()) emit_list(out, "attention", recipe.attention);
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace laconic
