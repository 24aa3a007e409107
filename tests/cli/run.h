#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "laconic/base/atomic_file.h"
#include "tests/testing/testing.h"

namespace laconic::testing {

inline const std::string kTinyLm = "assets/tiny-lm";
inline const std::string kCalibrationText = "assets/text/calibration.txt";
inline const std::string kEvaluationText = "assets/text/evaluation.txt";

/// Runs the program with these arguments.
inline ProgramResult run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program().string());
  return run_program(arguments);
}

/// Runs the program, which must do its work.
inline void run_done(const std::vector<std::string>& arguments) {
  const auto result = run(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
}

/// What a script of tests/readers prints about files of ours; it must find them right.
inline std::string read_with(const std::string& script, std::vector<std::string> files) {
  files.insert(files.begin(), {python(), "tests/readers/" + script});
  const auto result = run_program(files);
  EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
  return result.output;
}

/// With --json added: what is printed must be one object and nothing else.
inline nlohmann::json run_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const auto result = run(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  auto json = nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(json.is_object()) << result.output;
  return json;
}

/// On the small evaluation text, in the windows of the model's page.
inline double perplexity(const std::string& model) {
  return run_json({"evaluate", "perplexity", model, "--text", kEvaluationText, "--context", "256"})
      .value("perplexity", 0.0);
}

/// The program fails with one message that holds every word, and prints nothing else.
inline void expect_failure(const std::vector<std::string>& arguments, int exit_code,
                           const std::vector<std::string>& words) {
  const auto result = run(arguments);
  EXPECT_EQ(result.exit_code, exit_code) << result.errors;
  EXPECT_EQ(result.output, "");
  const std::string mark = "laconic: error: ";
  const size_t first = result.errors.find(mark);
  EXPECT_NE(first, std::string::npos) << result.errors;
  EXPECT_EQ(result.errors.find(mark, first + 1), std::string::npos) << result.errors;
  EXPECT_THAT(result.errors, ::testing::Not(::testing::HasSubstr("frame #")));
  for (const std::string& word : words) EXPECT_THAT(result.errors, ::testing::HasSubstr(word));
}

/// Everything below a directory, by its path from there.
inline std::set<std::string> listing(const std::filesystem::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    names.insert(std::filesystem::relative(entry.path(), directory).string());
  return names;
}

inline std::map<std::string, std::string> contents(const std::filesystem::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    files[entry.path().filename().string()] = read_text_file(entry.path());
  return files;
}

inline void expect_same_files(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto first = contents(a), second = contents(b);
  ASSERT_EQ(first.size(), second.size());
  for (const auto& [name, bytes] : first) {
    ASSERT_TRUE(second.contains(name)) << name;
    EXPECT_TRUE(second.at(name) == bytes) << name;
  }
}

/// A job with Hessians and several blocks, of a second or two.
inline std::vector<std::string> gptq_job(const std::filesystem::path& out) {
  return {"quantize",      kTinyLm,
          "--recipe",      "w4a16-g128-gptq",
          "--calibration", kCalibrationText,
          "--set",         "calibration.windows=16",
          "--set",         "calibration.length=128",
          "--set",         "layers=[\"*.v_proj\", \"*.down_proj\"]",
          "--threads",     "1",
          "--out",         out.string()};
}

inline constexpr size_t kGptqLayers = 12;

/// The least --host-memory for this job, bytes: what the refusal of less says.
inline uint64_t needed_memory(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--host-memory", "1MiB"});
  const auto result = run(arguments);
  EXPECT_EQ(result.exit_code, 2) << result.errors;
  const size_t end = result.errors.find(" bytes; "), begin = result.errors.rfind('(', end) + 1;
  return end == std::string::npos ? 0 : std::stoull(result.errors.substr(begin, end - begin));
}

}  // namespace laconic::testing
