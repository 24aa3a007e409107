#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace laconic::golden {

/// The options of a case. Each is read by name; one that nobody read is an error, so that a case
/// cannot pass by ignoring what it asks.
class Options {
 public:
  explicit Options(const nlohmann::json& json) : json_(json) {}

  bool has(const std::string& key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  std::string word(const std::string& key, const std::vector<std::string>& known);
  std::string word(const std::string& key, const std::vector<std::string>& known,
                   const std::string& fallback);
  /// A list of words.
  std::vector<std::string> words(const std::string& key);
  bool flag(const std::string& key, bool fallback);
  /// A number in [low, high].
  double number(const std::string& key, double low, double high);
  double number(const std::string& key, double low, double high, double fallback);
  int64_t whole(const std::string& key, int64_t low, int64_t high);
  /// Options that inform only.
  void ignore(const std::vector<std::string>& keys);
  /// @throws c10::ValueError for options that nobody read.
  void finish() const;

 private:
  const nlohmann::json& at(const std::string& key);

  const nlohmann::json& json_;
  std::set<std::string> read_;
};

}  // namespace laconic::golden
