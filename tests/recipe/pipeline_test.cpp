#include "laconic/recipe/pipeline.h"

#include "laconic/base/atomic_file.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::repository;
using testing::TemporaryDirectory;

TEST(Pipeline, ExportsLieBesideTheDirectory) {
  const auto place = [](const char* out, const char* format) {
    return export_path(out, find_exporter(format)).string();
  };
  EXPECT_EQ(place("a/q", "gguf"), "a/q.gguf");
  EXPECT_EQ(place("a/q/", "gguf-f16"), "a/q-f16.gguf");
  EXPECT_EQ(place("a/q", "compressed-tensors"), "a/q-compressed-tensors");
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
