#include "laconic/recipe/layer_patterns.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "laconic/base/text.h"

namespace laconic {
namespace {

bool is_wildcard(const std::string& pattern) {
  return pattern.starts_with("re:") || pattern.find_first_of("*?") != std::string::npos;
}

std::string last_word(const std::string& name) { return name.substr(name.rfind('.') + 1); }

}  // namespace

LayerPatterns::LayerPatterns(const LanguageModel& model)
    : model_(model), embeddings_(graph::find_embeddings(model.graph)) {}

bool LayerPatterns::is_in_blocks(const graph::LinearLayer& layer) const {
  return block_of(model_.blocks, layer) != nullptr;
}

bool LayerPatterns::reaches_blocks(const LayerPattern& pattern) const {
  return std::any_of(model_.layers.begin(), model_.layers.end(), [&](const auto& layer) {
    return is_in_blocks(layer) && matches_pattern(layer.name, pattern.text);
  });
}

bool LayerPatterns::matches(const LayerPattern& pattern, const graph::LinearLayer& layer) const {
  const std::string& text = pattern.text;
  const bool is_word = text == "blocks" || text == "head" || text == "embedding";
  if (is_word && layer.is_embedding)
    return text == "embedding" && layer.input.node == model_.graph.input();
  if (is_word) return text == (is_in_blocks(layer) ? "blocks" : "head");
  if (!is_wildcard(text)) return layer.name == text;
  // Head and embeddings are where errors cost most: they are quantized only when they are meant.
  if (!matches_pattern(layer.name, text)) return false;
  return layer.is_embedding ? !reaches_blocks(pattern) : is_in_blocks(layer);
}

// The nearest whole name; for a wildcard, the pattern with the nearest last word in place of its
// own.
std::string LayerPatterns::nearest_layer(const std::string& pattern) const {
  std::vector<std::string> names, words;
  for (const auto& layer : model_.layers) names.push_back(layer.name);
  for (const auto& layer : embeddings_) names.push_back(layer.name);
  for (const std::string& name : names) {
    const std::string word = last_word(name);
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }
  const std::string name = nearest_word(pattern, names);
  if (!is_wildcard(pattern) && !name.empty()) return "; did you mean \"" + name + "\"?";
  const std::string word = nearest_word(last_word(pattern), words);
  if (!word.empty() && word != last_word(pattern)) return "; did you mean \"*." + word + "\"?";
  return "; the nearest is \"" + (name.empty() ? names.front() : name) + "\". Layers end in {" +
         join(words, ", ") + "}.";
}

void LayerPatterns::check(const std::vector<LayerRule>& rules) const {
  TORCH_CHECK_VALUE(!model_.layers.empty(), "[recipe] ", model_.directory.string(),
                    ": the model has no linear layer.");
  for (const LayerRule& rule : rules) {
    for (const LayerPattern& pattern : rule.layers) {
      const auto found = [&](const auto& layer) { return matches(pattern, layer); };
      TORCH_CHECK_VALUE(std::any_of(model_.layers.begin(), model_.layers.end(), found) ||
                            std::any_of(embeddings_.begin(), embeddings_.end(), found),
                        pattern.where, ": layers: \"", pattern.text,
                        "\" matches no linear layer and no embedding of ",
                        model_.directory.string(), nearest_layer(pattern.text));
    }
  }
}

}  // namespace laconic
