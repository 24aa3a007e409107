#include "tests/testing/testing.h"

namespace laconic {
namespace {

constexpr int kSkipped = 77;  // transformers is not installed

TEST(Logits, OfEveryArchitectureEqualThoseOfTransformers) {
  if (testing::python().empty()) GTEST_SKIP() << testing::kNoPython;
  const auto program = testing::program().parent_path() / "laconic_logits";
  const auto result =
      testing::run_program({testing::python(), "tests/model/compare_logits.py", program.string()});
  if (result.exit_code == kSkipped) GTEST_SKIP() << result.output;
  EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
}

}  // namespace
}  // namespace laconic
