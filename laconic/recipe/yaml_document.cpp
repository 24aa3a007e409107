#include "laconic/recipe/yaml_document.h"

#include <c10/util/Exception.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>

#include "laconic/base/text.h"

namespace laconic {
namespace {

constexpr size_t kMaximumBytes = size_t{1} << 20;
constexpr int kMaximumDepth = 32, kMaximumNodes = 20000;

[[noreturn]] void fail_at(const std::string& where, const YAML::Mark& mark,
                          const std::string& message) {
  TORCH_CHECK_VALUE(false, location(where, mark), ": ", message);
}

// The parser recurses once a level; a line of brackets must not reach its own, deeper limit.
void check_brackets(const std::string& text, const std::string& where) {
  int depth = 0;
  for (const char letter : text) {
    if (letter == '[' || letter == '{') ++depth;
    if (letter == ']' || letter == '}') --depth;
    TORCH_CHECK_VALUE(depth <= 2 * kMaximumDepth, where,
                      ": too many nested brackets: expected at most ", 2 * kMaximumDepth,
                      ". A recipe is nested five deep.");
  }
}

class Checker {
 public:
  explicit Checker(const std::string& where) : where_(where) {}

  void check(const YAML::Node& node, int depth) {
    if (depth > kMaximumDepth)
      fail_at(where_, node.Mark(), "nested deeper than " + std::to_string(kMaximumDepth) + ".");
    if (++nodes_ > kMaximumNodes) {
      fail_at(where_, node.Mark(),
              "more than " + std::to_string(kMaximumNodes) +
                  " values when aliases are followed. Write the recipe without them.");
    }
    check_tag(node);
    if (node.IsSequence()) {
      for (const auto& item : node) check(item, depth + 1);
    }
    if (node.IsMap()) check_mapping(node, depth);
  }

 private:
  void check_tag(const YAML::Node& node) const {
    const std::string tag = node.Tag();
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    static const std::set<std::string> kKnown = {"str",  "int", "float", "bool",
                                                 "null", "map", "seq"};
    const bool standard =
        tag.starts_with(kStandard) && kKnown.contains(tag.substr(kStandard.size()));
    if (tag.size() > 1 && !standard) {
      fail_at(where_, node.Mark(), "unknown tag \"" + tag + "\"; a recipe has none. Remove it.");
    }
  }

  void check_mapping(const YAML::Node& node, int depth) {
    std::set<std::string> keys;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        fail_at(where_, entry.first.Mark(),
                "expected a word as key, got " + describe(entry.first) + ".");
      }
      const std::string key = entry.first.Scalar();
      if (!keys.insert(key).second)
        fail_at(where_, entry.first.Mark(), "key \"" + key + "\" comes twice. Remove one.");
      check(entry.second, depth + 1);
    }
  }

  const std::string& where_;
  int nodes_ = 0;
};

/// Where the first value of the document stands that is read last.
class FirstValue : public YAML::EventHandler {
 public:
  const YAML::Mark& mark() const { return mark_; }

  void OnDocumentStart(const YAML::Mark&) override { found_ = false; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { see(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { see(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    see(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    see(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    see(mark);
  }
  void OnMapEnd() override {}

 private:
  void see(const YAML::Mark& mark) {
    if (!std::exchange(found_, true)) mark_ = mark;
  }

  YAML::Mark mark_;
  bool found_ = false;
};

// Not YAML::LoadAll: a stray comma between documents makes it add empty ones for ever.
YAML::Node load_one(const std::string& text, const std::string& where) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    FirstValue value;
    if (parser.HandleNextDocument(value) && parser.HandleNextDocument(value))
      fail_at(where, value.mark(), "a second document starts here: expected one recipe a file.");
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    fail_at(where, error.mark, "not YAML: " + error.msg + ".");
  }
}

}  // namespace

std::string location(const std::string& where, const YAML::Mark& mark) {
  if (mark.is_null()) return where;
  return where + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
}

std::string describe(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  if (node.IsScalar()) return "\"" + node.Scalar().substr(0, 80) + "\"";
  return "nothing";
}

YAML::Node parse_yaml(const std::string& text, const std::string& where) {
  TORCH_CHECK_VALUE(text.size() <= kMaximumBytes, where, ": expected at most ", kMaximumBytes,
                    " bytes, got ", text.size(), ". This is no recipe.");
  size_t bad_offset = 0;
  TORCH_CHECK_VALUE(is_utf8(text, &bad_offset), where, ": byte ", bad_offset,
                    " is not UTF-8. Save the file as UTF-8.");
  const size_t zero = text.find('\0');
  TORCH_CHECK_VALUE(zero == std::string::npos, where, ": byte ", zero,
                    " is zero, which YAML does not allow. Remove it.");
  check_brackets(text, where);
  const YAML::Node document = load_one(text, where);
  TORCH_CHECK_VALUE(!document.IsNull(), where,
                    ": empty: expected a mapping. `laconic recipes w4a16` prints an example.");
  Checker(where).check(document, 0);
  return document;
}

MappingReader::MappingReader(const YAML::Node& node, std::string where, std::string what)
    : node_(node), where_(std::move(where)), what_(std::move(what)) {
  if (!node.IsMap())
    fail(node, what_ + ": expected a mapping of key: value, got " + describe(node) + ".");
}

YAML::Node MappingReader::find(const std::string& key) {
  known_.push_back(key);
  for (const auto& entry : node_) {
    if (entry.first.Scalar() == key) return entry.second;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

YAML::Node MappingReader::scalar(const std::string& key, const char* expected) {
  const YAML::Node value = find(key);
  if (value.IsDefined() && !value.IsScalar()) {
    fail(value, key + ": expected " + expected + ", got " + describe(value) + ".");
  }
  return value;
}

void MappingReader::read(const std::string& key, std::string& value) {
  const YAML::Node node = scalar(key, "a text");
  if (node.IsDefined()) value = node.Scalar();
}

void MappingReader::read(const std::string& key, bool& value) {
  const YAML::Node node = scalar(key, "true or false");
  if (!node.IsDefined()) return;
  const std::string& text = node.Scalar();
  if (text != "true" && text != "false")
    fail(node, key + ": expected true or false, got " + describe(node) + ".");
  value = text == "true";
}

void MappingReader::read(const std::string& key, int64_t& value, int64_t minimum, int64_t maximum) {
  const std::string expected =
      "a whole number from " + std::to_string(minimum) + " to " + std::to_string(maximum);
  const YAML::Node node = scalar(key, expected.c_str());
  if (!node.IsDefined()) return;
  const std::string& text = node.Scalar();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || number < minimum || number > maximum) {
    fail(node, key + ": expected " + expected + ", got " + describe(node) + ".");
  }
  value = number;
}

void MappingReader::finish() const {
  for (const auto& entry : node_) {
    const std::string& key = entry.first.Scalar();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    fail(entry.first,
         what_ + ": unknown key \"" + key.substr(0, 80) + "\"" + suggestion(key, known_) + ".");
  }
}

void MappingReader::fail(const YAML::Node& at, const std::string& message) const {
  fail_at(where_, at.Mark(), message);
}

}  // namespace laconic
