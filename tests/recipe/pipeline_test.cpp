#include "laconic/recipe/pipeline.h"

#include "laconic/evaluate/perplexity.h"
#include "laconic/evaluate/text.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::repository;
using testing::TemporaryDirectory;

struct Published {
  int bits, group_size;
  double perplexity;
};

// assets/README.md: round to nearest, measured with another implementation, windows of 256. A
// thousandth is the bound.
TEST(RoundToNearest, PerplexityOfTheSmallModelEqualsThePublishedFigures) {
  constexpr Published kRows[] = {{8, 128, 58.274}, {4, 128, 60.395}, {3, 128, 72.281},
                                 {4, 32, 59.576},  {3, 32, 68.824},  {2, 32, 737.75}};
  const auto model = repository() / "assets/tiny-lm";
  const auto tokens =
      read_tokens(load_language_model(model), repository() / "assets/text/evaluation.txt");
  for (const Published& row : kRows) {
    SCOPED_TRACE(std::to_string(row.bits) + " bits, groups of " + std::to_string(row.group_size));
    const TemporaryDirectory directory;
    const std::vector<std::string> settings = {
        "weight.bits=" + std::to_string(row.bits),
        "weight.group_size=" + std::to_string(row.group_size)};
    const auto outcome = run_quantize(
        {.model = model, .recipe = load_recipe("w4a16-g128", settings), .out = directory / "q"});
    EXPECT_EQ(outcome.report.layers.size(), 42u);
    const auto result =
        evaluate_perplexity(load_language_model(directory / "q"), tokens, {.context = 256});
    EXPECT_NEAR(result.perplexity, row.perplexity, 0.001 * row.perplexity);
  }
}

TEST(Pipeline, OwnSolverIsFoundByItsNameBeforeOurs) {
  static int calls = 0;
  const auto solve = [](const LayerProblem& problem, const nlohmann::json& options) {
    ++calls;
    return find_solver("nearest").solve(problem, options);
  };
  const Solver own[] = {{"mine", "counts", "", false, solve, [](const nlohmann::json&) {},
                         [] { return nlohmann::json::object(); }}};
  const Parts parts{.solvers = own};
  const Recipe recipe = parse_recipe(
      "rules: [{layers: '*.o_proj', weight: {bits: 4}, solver: mine}]", "r.yaml", parts);
  const TemporaryDirectory directory;
  run_quantize({.model = repository() / "assets/tiny-lm", .recipe = recipe, .out = directory / "q"},
               parts);
  EXPECT_EQ(calls, 6);
}

TEST(Pipeline, WorkingDirectoryWithOtherFilesIsLeftAlone) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "q.partial");
  write_text_file(directory / "q.partial/mine.txt", "x");
  testing::expect_error<c10::ValueError>(
      [&] {
        run_quantize({.model = repository() / "assets/tiny-lm",
                      .recipe = load_recipe("w8a16"),
                      .out = directory / "q"});
      },
      {"q.partial", "Remove"});
  EXPECT_TRUE(std::filesystem::exists(directory / "q.partial/mine.txt"));
}

}  // namespace
}  // namespace laconic
