#pragma once

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace laconic::testing {

/// Runs `function`, expects an exception of type Error whose message holds every one of `words`.
template <typename Error, typename Function>
void expect_error(Function&& function, const std::vector<std::string>& words) {
  try {
    function();
  } catch (const Error& error) {
    const std::string message = [&] {
      if constexpr (std::is_base_of_v<c10::Error, Error>)
        return std::string(error.what_without_backtrace());
      else
        return std::string(error.what());
    }();
    for (const std::string& word : words) EXPECT_THAT(message, ::testing::HasSubstr(word));
    return;
  }
  ADD_FAILURE() << "expected an exception";
}

/// A fresh directory, removed with all its contents at the end of the scope.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// The repository's root (tests run there).
std::filesystem::path repository();

/// Real models and texts that the repository does not carry: $LACONIC_TEST_DATA, or ../shared/data;
/// empty when absent. Use: `const auto data = test_data("docs-lm"); if (data.empty()) GTEST_SKIP()
/// << kNoData;`
std::filesystem::path test_data(const std::string& name);
inline constexpr const char* kNoData = "test data absent: set LACONIC_TEST_DATA";

/// The program `laconic` of this build.
std::filesystem::path program();

/// The Python that has the packages of other implementations: $LACONIC_PYTHON; empty when that is
/// unset or empty. Use: `if (testing::python().empty()) GTEST_SKIP() << testing::kNoPython;`
std::string python();
inline constexpr const char* kNoPython =
    "no other implementation to compare with: set LACONIC_PYTHON to a Python with the packages of "
    "tools/requirements/test.txt";

/// Exit code and what was printed.
struct ProgramResult {
  int exit_code = -1;
  std::string output, errors;
};
/// Runs a program with arguments (no shell).
ProgramResult run_program(const std::vector<std::string>& command, double timeout_seconds = 600);

}  // namespace laconic::testing
