#include "laconic/recipe/yaml_document.h"

#include "laconic/recipe/settings.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::expect_error;

void expect_syntax_fault(const std::string& yaml, const std::vector<std::string>& words) {
  SCOPED_TRACE(yaml.substr(0, 100));
  expect_error<c10::ValueError>([&] { parse_yaml(yaml, "r.yaml"); }, words);
}

TEST(YamlDocument, TextThatIsNoYamlIsNamedWithLineAndColumn) {
  expect_syntax_fault("name: x\nrules: [", {"r.yaml:2:", "not YAML"});
  expect_syntax_fault("a: b: c", {"r.yaml:1:", "not YAML"});
  expect_syntax_fault("a: *nobody", {"r.yaml:1:", "not YAML"});
}

TEST(YamlDocument, EmptyTextIsRejected) {
  for (const std::string text : {"", "\n\n", "# only a comment\n", "---\n", "~"})
    expect_syntax_fault(text, {"r.yaml", "empty"});
}

TEST(YamlDocument, SecondDocumentIsRejectedWhereItStarts) {
  expect_syntax_fault("a: 1\n---\nb: 2\n", {"r.yaml:3:1", "second document"});
  expect_syntax_fault(", a: 1\n", {"r.yaml:1:1", "second document"});
  expect_syntax_fault("a: 1\n,\n", {"r.yaml"});
}

TEST(YamlDocument, KeyThatComesTwiceIsRejected) {
  expect_syntax_fault("a: 1\nb: 2\na: 3\n", {"r.yaml:3:1", "\"a\"", "twice"});
}

TEST(YamlDocument, KeyThatIsNoWordIsRejected) {
  expect_syntax_fault("[1, 2]: 3\n", {"r.yaml:1:", "word as key"});
}

TEST(YamlDocument, InvalidUtf8IsRejectedWithTheByte) {
  expect_syntax_fault("a: \xff\xfe", {"byte 3", "UTF-8"});
}

TEST(YamlDocument, AliasBombEndsInAnError) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 1; j < 10; ++j) text += ", " + before;
    text += "]\n";
  }
  expect_syntax_fault(text, {"more than 20000 values"});
}

TEST(YamlDocument, DeepNestingEndsInAnError) {
  expect_syntax_fault(std::string(100000, '['), {"r.yaml"});
  std::string block;
  for (int i = 0; i < 200; ++i) block += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  expect_syntax_fault(block, {"nested deeper"});
  std::string dashes;
  for (int i = 0; i < 100000; ++i) dashes += "- ";
  expect_syntax_fault(dashes, {"r.yaml"});
}

TEST(YamlDocument, TagsOfAProgramAreRejected) {
  expect_syntax_fault("a: !!python/object:os.system 1\n", {"r.yaml:1:", "tag"});
}

TEST(YamlDocument, HugeTextIsRejected) {
  expect_syntax_fault(std::string(2 << 20, 'a'), {"at most"});
}

YAML::Node with_settings(const std::string& yaml, const std::vector<std::string>& settings) {
  YAML::Node node = without_marks(parse_yaml(yaml, "r.yaml"));
  apply_settings(node, settings);
  return node;
}

const char* const kTwoRules =
    "rules:\n"
    "  - weight: &w {format: int, scale: {kind: statistic}}\n"
    "  - weight: *w\n"
    "    input: {format: int}\n"
    "  - skip: true\n";

TEST(Settings, PathFromTheTopChangesOnePlace) {
  const auto node =
      with_settings(kTwoRules, {"calibration.windows=32", "rules.1.weight.scale.kind=constant"});
  EXPECT_EQ(node["calibration"]["windows"].Scalar(), "32");
  EXPECT_EQ(node["rules"][1]["weight"]["scale"]["kind"].Scalar(), "constant");
  // The two weights were one anchor.
  EXPECT_EQ(node["rules"][0]["weight"]["scale"]["kind"].Scalar(), "statistic");
}

TEST(Settings, PathFromARuleChangesEveryRuleThatHasIt) {
  const auto node = with_settings(kTwoRules, {"weight.bits=3", "input.bits=8", "solver=gptq"});
  EXPECT_EQ(node["rules"][0]["weight"]["bits"].Scalar(), "3");
  EXPECT_EQ(node["rules"][1]["weight"]["bits"].Scalar(), "3");
  EXPECT_FALSE(node["rules"][0]["input"].IsDefined());
  EXPECT_EQ(node["rules"][1]["input"]["bits"].Scalar(), "8");
  EXPECT_EQ(node["rules"][0]["solver"].Scalar(), "gptq");
  EXPECT_FALSE(node["rules"][2]["solver"].IsDefined());
}

TEST(Settings, ValueMayBeAnyYaml) {
  const auto node = with_settings(kTwoRules, {"rules.0.layers=[a, b]"});
  EXPECT_EQ(node["rules"][0]["layers"][1].Scalar(), "b");
}

void expect_setting_fault(const std::string& setting, const std::vector<std::string>& words) {
  SCOPED_TRACE(setting);
  expect_error<c10::ValueError>([&] { with_settings(kTwoRules, {setting}); }, words);
}

TEST(Settings, WrongSettingIsNamed) {
  expect_setting_fault("weight", {"--set weight", "key=value"});
  expect_setting_fault("=3", {"key=value"});
  expect_setting_fault("weight..bits=3", {"empty word"});
  expect_setting_fault("calibraton.windows=3", {"\"calibraton\"", "did you mean \"calibration\"?"});
  expect_setting_fault("rules.7.skip=true", {"list of 3", "\"7\""});
  expect_setting_fault("rules.x.skip=true", {"\"x\""});
  expect_setting_fault("weight.format.bits=3", {"\"format\" is \"int\""});
  expect_setting_fault("weight.bits=[1", {"--set", "not YAML"});
  expect_setting_fault("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1", {"too many words"});
}

TEST(Settings, ShortPathThatNoRuleHasIsAnError) {
  expect_error<c10::ValueError>([] { with_settings("rules: [{skip: true}]", {"weight.bits=3"}); },
                                {"no rule"});
}

}  // namespace
}  // namespace laconic
