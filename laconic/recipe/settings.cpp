#include "laconic/recipe/settings.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "laconic/base/text.h"
#include "laconic/recipe/yaml_document.h"

namespace laconic {
namespace {

// The words that a key may begin with: of the recipe, and of each of its rules.
const std::vector<std::string> kTopWords = {"name",       "description", "calibration",
                                            "transforms", "rules",       "attention"};
const std::vector<std::string> kRuleWords = {"layers", "skip",           "weight",         "input",
                                             "solver", "solver_options", "bias_correction"};
constexpr size_t kMaximumWords = 16;

struct Setting {
  std::string text;                ///< as given, for messages
  std::vector<std::string> words;  ///< of the key
  std::string value;
};

[[noreturn]] void fail(const Setting& setting, const std::string& message) {
  TORCH_CHECK_VALUE(false, "--set ", setting.text, ": ", message);
}

Setting split(const std::string& text) {
  Setting setting{text, {}, ""};
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail(setting, "expected key=value, such as calibration.windows=32.");
  }
  setting.value = text.substr(equals + 1);
  for (size_t begin = 0; begin <= equals;) {
    const size_t end = std::min(text.find('.', begin), equals);
    setting.words.push_back(text.substr(begin, end - begin));
    if (setting.words.back().empty())
      fail(setting, "the key has an empty word. Write words with one dot between.");
    begin = end + 1;
  }
  if (setting.words.size() > kMaximumWords) fail(setting, "the key has too many words.");
  return setting;
}

}  // namespace

YAML::Node without_marks(const YAML::Node& node) {
  if (node.IsScalar()) return YAML::Node(node.Scalar());
  YAML::Node copy(node.Type());
  if (node.IsSequence()) {
    for (const auto& item : node) copy.push_back(without_marks(item));
  }
  if (node.IsMap()) {
    for (const auto& entry : node)
      copy.force_insert(entry.first.Scalar(), without_marks(entry.second));
  }
  return copy;
}

namespace {

YAML::Node parse_value(const Setting& setting) {
  if (setting.value.empty()) return YAML::Node(std::string());
  // A pattern such as *.q_proj is a word here, not an alias of YAML.
  if (setting.value.starts_with('*')) return YAML::Node(setting.value);
  return without_marks(parse_yaml(setting.value, "--set " + setting.text));
}

std::optional<size_t> as_index(const std::string& word) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), index);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return index;
}

YAML::Node child(const YAML::Node& node, const std::string& key) {
  for (const auto& entry : node) {
    if (entry.first.Scalar() == key) return entry.second;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

class Walk {
 public:
  Walk(const Setting& setting, const YAML::Node& value) : setting_(setting), value_(value) {}

  // Puts the value at words [at, end) below `node`; mappings on the way are made when absent.
  void put(YAML::Node node, size_t at) const {
    const std::string& word = setting_.words[at];
    const bool last = at + 1 == setting_.words.size();
    if (node.IsSequence()) {
      YAML::Node item = node[checked_index(node, word)];
      return last ? assign(item) : put(item, at + 1);
    }
    if (!node.IsMap()) replace_by_mapping(node, at);
    YAML::Node next = child(node, word);
    if (!next.IsDefined()) {
      next = last ? without_marks(value_) : YAML::Node(YAML::NodeType::Map);
      node.force_insert(word, next);
      if (last) return;
    }
    return last ? assign(next) : put(next, at + 1);
  }

 private:
  // Each place gets a node of its own: two rules must not share one.
  void assign(YAML::Node place) const { place = without_marks(value_); }

  void replace_by_mapping(YAML::Node node, size_t at) const {
    if (node.IsScalar() && !node.Scalar().empty()) {
      fail(setting_, "\"" + setting_.words[at - 1] + "\" is " + describe(node) +
                         ", which has no \"" + setting_.words[at] + "\" inside.");
    }
    node = YAML::Node(YAML::NodeType::Map);
  }

  size_t checked_index(const YAML::Node& node, const std::string& word) const {
    const auto index = as_index(word);
    if (!index || *index >= node.size()) {
      fail(setting_, "expected the place in a list of " + std::to_string(node.size()) +
                         ", counted from 0, got \"" + word + "\".");
    }
    return *index;
  }

  const Setting& setting_;
  const YAML::Node& value_;
};

// A short key: every rule that quantizes, and for a part of `input` only those that have one.
void put_in_rules(const YAML::Node& recipe, const Setting& setting, const YAML::Node& value) {
  const YAML::Node rules = child(recipe, "rules");
  bool done = false;
  for (size_t i = 0; rules.IsSequence() && i < rules.size(); ++i) {
    YAML::Node rule = rules[i];
    if (!rule.IsMap()) continue;
    const bool has_it = child(rule, setting.words[0]).IsDefined();
    const bool is_part = setting.words[0] == "weight" || setting.words[0] == "input";
    const bool skips = child(rule, "skip").IsDefined();
    if (skips || (is_part && setting.words.size() > 1 && !has_it)) continue;
    Walk(setting, value).put(rule, 0);
    done = true;
  }
  if (!done)
    fail(setting, "no rule of the recipe has \"" + setting.words[0] + "\". Name one: rules.0." +
                      setting.words[0] + ".");
}

void apply_setting(const YAML::Node& recipe, const std::string& text) {
  const Setting setting = split(text);
  const YAML::Node value = parse_value(setting);
  const auto has = [&](const std::vector<std::string>& words) {
    return std::find(words.begin(), words.end(), setting.words[0]) != words.end();
  };
  if (has(kTopWords)) return Walk(setting, value).put(recipe, 0);
  if (has(kRuleWords)) return put_in_rules(recipe, setting, value);
  std::vector<std::string> known = kTopWords;
  known.insert(known.end(), kRuleWords.begin(), kRuleWords.end());
  fail(setting,
       "unknown key \"" + setting.words[0] + "\"" + suggestion(setting.words[0], known) + ".");
}

}  // namespace

void apply_settings(YAML::Node recipe, std::span<const std::string> settings) {
  for (const std::string& setting : settings) apply_setting(recipe, setting);
}

}  // namespace laconic
