#pragma once

#include <yaml-cpp/yaml.h>

#include <set>
#include <span>
#include <string>
#include <vector>

namespace laconic {

/// "where:line:column" (both from 1), or "where" for a node that no text holds.
std::string location(const std::string& where, const YAML::Mark& mark);

/// The one document of `text`, checked so that walking it is safe: at most 1 MiB, UTF-8, no deeper
/// than 32, at most 20,000 nodes with aliases followed (so an alias bomb is an error, not a loop),
/// keys are plain words and none comes twice, no tags but YAML's own.
/// @throws c10::ValueError "where:line:column: ..."
YAML::Node parse_yaml(const std::string& text, const std::string& where);

/// Reads a mapping key by key; `finish` makes every key that nobody asked for an error.
class MappingReader {
 public:
  /// `what` names the mapping in messages: "recipe", "rule".
  /// @throws c10::ValueError when `node` is not a mapping.
  MappingReader(const YAML::Node& node, std::string where, std::string what);

  /// The value of `key`; a node that is not defined when absent.
  YAML::Node find(const std::string& key);
  void read(const std::string& key, std::string& value);
  void read(const std::string& key, bool& value);
  void read(const std::string& key, int64_t& value, int64_t minimum, int64_t maximum);

  /// @throws c10::ValueError for the first key that was not asked for, with the nearest one that
  /// was.
  void finish() const;
  /// @throws c10::ValueError "where:line:column: message".
  [[noreturn]] void fail(const YAML::Node& at, const std::string& message) const;

 private:
  YAML::Node scalar(const std::string& key, const char* expected);
  YAML::Node node_;
  std::string where_, what_;
  std::vector<std::string> known_;
};

/// "a mapping", "a list", "nothing", or the scalar in quotes: what messages say they found.
std::string describe(const YAML::Node& node);

}  // namespace laconic
