#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "laconic/base/mapped_file.h"
#include "laconic/base/memory.h"
#include "laconic/base/text.h"
#include "laconic/cli/commands.h"
#include "laconic/cli/evaluation.h"
#include "laconic/cli/table.h"
#include "laconic/evaluate/text.h"
#include "laconic/load/placement.h"
#include "laconic/recipe/pipeline.h"

namespace laconic {
namespace {

/// A fresh directory, removed with what is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "laconic-compare-XXXXXX").string();
    TORCH_CHECK(::mkdtemp(pattern.data()) != nullptr, "[compare] cannot make a directory like ",
                pattern, ". Is there space? Name a directory with --out.");
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Row {
  std::string recipe;
  std::filesystem::path directory;
  ModelSize size;
  double seconds = 0;       ///< of quantizing
  uint64_t peak_bytes = 0;  ///< of quantizing
  PerplexityResult result;
};

std::vector<Recipe> load_recipes(const CompareCommand& command, const Parts& parts) {
  std::vector<Recipe> recipes;
  for (const std::string& name : command.recipes) {
    recipes.push_back(load_recipe(name, command.settings, parts));
    if (command.seed >= 0) recipes.back().calibration.seed = static_cast<uint64_t>(command.seed);
    const auto same = std::count_if(recipes.begin(), recipes.end(), [&](const Recipe& recipe) {
      return recipe.name == recipes.back().name;
    });
    TORCH_CHECK_VALUE(same == 1, "[compare] two recipes are named \"", recipes.back().name,
                      "\". Give one another name.");
  }
  return recipes;
}

QuantizeJob job_of(const CompareCommand& command, const Recipe& recipe,
                   const std::filesystem::path& folder, const Session& session) {
  return {.model = command.model,
          .recipe = recipe,
          .calibration = command.calibration,
          .out = folder / recipe.name,
          .statistics = command.statistics,
          .exports = {},
          .overwrite = command.overwrite,
          .progress = session.progress,
          .device = session.device};
}

// All recipes before any work: the last one may be the wrong one.
void check(const CompareCommand& command, const std::vector<Recipe>& recipes,
           const std::filesystem::path& folder, const Session& session) {
  MappedFile::open(command.evaluation.text);
  for (const Recipe& recipe : recipes)
    check_quantize(job_of(command, recipe, folder, session), session.parts);
}

Row quantize(const QuantizeJob& job, const Session& session) {
  trim_heap();
  reset_peak_resident_bytes();
  const QuantizeOutcome outcome = run_quantize(job, session.parts);
  return {job.recipe.name, job.out, outcome.size, outcome.seconds, peak_resident_bytes(), {}};
}

void evaluate(const CompareCommand& command, std::vector<Row>& rows, const Session& session) {
  LanguageModel original = load_checked_model(command.model, session.parts);
  place(original, session.device, /*resident=*/true);
  PerplexityOptions options = to_options(command.evaluation, original, session.progress);
  options.device = session.device;
  const auto tokens = read_tokens(original, command.evaluation.text);
  rows[0].result = evaluate_perplexity(original, tokens, options);
  for (size_t i = 1; i < rows.size(); ++i) {
    LanguageModel model =
        load_language_model(rows[i].directory, {.parts = session.parts.quantizers});
    place(model, session.device, /*resident=*/true);
    rows[i].result = evaluate_perplexity(model, tokens, options, &original);
  }
}

std::vector<std::string> cells(const Row& row, bool is_float) {
  const PerplexityResult& result = row.result;
  const double bits = is_float ? row.size.bits_per_parameter : row.size.bits_per_weight;
  std::vector<std::string> line = {row.recipe, fixed(bits, 2), readable_bytes(row.size.bytes),
                                   fixed(result.perplexity, 3)};
  if (is_float) return line.insert(line.end(), {"-", "-", "-", "-"}), line;
  line.push_back(fixed(*result.kl_divergence, 5) + " ± " + fixed(*result.kl_error, 5));
  line.push_back(fixed(100 * *result.top1_agreement, 2) + " %");
  line.push_back(fixed(row.seconds, 1));
  line.push_back(readable_bytes(row.peak_bytes));
  return line;
}

std::string readable(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> table = {{"recipe", "bits/weight", "size", "perplexity",
                                                  "KL to float", "same top-1", "seconds",
                                                  "peak memory"}};
  for (size_t i = 0; i < rows.size(); ++i) table.push_back(cells(rows[i], i == 0));
  return format_table(table);
}

nlohmann::json to_json(const CompareCommand& command, const std::vector<Row>& rows) {
  auto list = nlohmann::json::array();
  for (const Row& row : rows) {
    list.push_back({{"recipe", row.recipe},
                    {"bits_per_weight", row.size.bits_per_weight},
                    {"bits_per_parameter", row.size.bits_per_parameter},
                    {"bytes", row.size.bytes},
                    {"quantize_seconds", row.seconds},
                    {"quantize_peak_bytes", row.peak_bytes}});
    list.back().update(to_json(row.result));
  }
  return {{"model", command.model}, {"text", command.evaluation.text}, {"rows", list}};
}

}  // namespace

void run_command(const CompareCommand& command, const Session& session) {
  const std::vector<Recipe> recipes = load_recipes(command, session.parts);
  std::optional<TemporaryDirectory> temporary;
  if (command.out.empty()) temporary.emplace();
  const std::filesystem::path folder =
      temporary ? temporary->path() : std::filesystem::path(command.out);
  check(command, recipes, folder, session);
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  TORCH_CHECK_VALUE(!failure, "[compare] --out ", folder.string(),
                    ": cannot make it: ", failure.message(),
                    ". Choose a place that you may write to.");
  std::vector<Row> rows;
  rows.push_back({"float", command.model, measure_size(command.model), 0, 0, {}});
  for (const Recipe& recipe : recipes)
    rows.push_back(quantize(job_of(command, recipe, folder, session), session));
  evaluate(command, rows, session);
  if (session.json) return print(to_json(command, rows));
  print(readable(rows));
}

}  // namespace laconic
