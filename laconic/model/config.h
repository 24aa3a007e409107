#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace laconic::model {

/// A Hugging Face config.json whose fields are read with their kind and range. Every error names
/// the file and the field: "[/m/config.json] field "hidden_size": expected ..., got ... .".
class Config {
 public:
  /// @throws c10::ValueError when the file is absent, no JSON, or no object.
  static Config read(const std::filesystem::path& file);
  /// @param where  how messages name it.
  Config(nlohmann::json json, std::string where);

  const nlohmann::json& json() const { return json_; }
  const std::string& where() const { return where_; }
  bool has(const std::string& key) const { return json_.contains(key) && !json_.at(key).is_null(); }

  /// Required fields. @throws c10::ValueError when absent, null, of another type, or out of range.
  int64_t integer(const std::string& key, int64_t minimum = 1, int64_t maximum = kLargest) const;
  double number(const std::string& key) const;
  double positive(const std::string& key) const;  ///< a number above 0
  std::string text(const std::string& key) const;

  /// Optional fields: null is absent.
  int64_t integer_or(const std::string& key, int64_t fallback, int64_t minimum = 1) const;
  double number_or(const std::string& key, double fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  std::optional<double> maybe_number(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;
  std::vector<std::string> texts(const std::string& key) const;

  /// An object as a configuration of its own, "rope_scaling.factor" in messages.
  Config object(const std::string& key) const;

  /// Refuses a value that asks for something that is not there. @throws c10::ValueError /
  /// NotImplementedError.
  [[noreturn]] void fail(const std::string& key, const std::string& expected,
                         const std::string& mend = "") const;
  [[noreturn]] void unsupported(const std::string& key, const std::string& what) const;
  /// `unsupported` unless the field is absent, null, or equal to `neutral`.
  void require_neutral(const std::string& key, const nlohmann::json& neutral) const;

  /// Bound of sizes: larger ones are a damaged file, and products of two stay far from overflow.
  static constexpr int64_t kLargest = int64_t{1} << 24;
  static constexpr int64_t kMostLayers = 4096;

 private:
  const nlohmann::json& field(const std::string& key) const;
  std::string where_, prefix_;
  nlohmann::json json_;
};

}  // namespace laconic::model
