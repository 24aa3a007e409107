#include "laconic/recipe/pipeline.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "laconic/base/directory.h"
#include "laconic/base/mapped_file.h"
#include "laconic/base/progress.h"
#include "laconic/base/text.h"
#include "laconic/calibrate/data.h"
#include "laconic/calibrate/journal.h"
#include "laconic/calibrate/segments.h"
#include "laconic/export/obstacles.h"
#include "laconic/file/json/json.h"
#include "laconic/graph/save.h"
#include "laconic/load/placement.h"
#include "laconic/recipe/attention_plan.h"
#include "laconic/recipe/calibrate.h"
#include "laconic/recipe/float_model.h"
#include "laconic/recipe/journal.h"
#include "laconic/recipe/plan.h"
#include "laconic/recipe/same_job.h"

namespace laconic {
namespace {

constexpr size_t kObstaclesShown = 10;
// Copied when they are there.
constexpr const char* kModelFiles[] = {
    "config.json",     "generation_config.json",  "tokenizer.json",    "tokenizer_config.json",
    "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt",      "chat_template.jinja"};

std::vector<std::filesystem::path> files_to_copy(const std::filesystem::path& model) {
  std::vector<std::filesystem::path> files;
  for (const char* name : kModelFiles) {
    if (std::filesystem::exists(model / name)) files.push_back(model / name);
  }
  return files;
}

// What can be asked before the model is read.
void check_places(const QuantizeJob& job, const Parts& parts) {
  TORCH_CHECK_VALUE(!job.out.empty(),
                    "[quantize] --out: expected a directory to write, got nothing.");
  check_float_model("quantize", job.model, job.out);
  NativeWriter::check_replaceable(without_slash(job.out), job.overwrite);
  if (!job.calibration.empty()) MappedFile::open(job.calibration);
  for (const std::string& format : job.exports) {
    const auto path = export_path(job.out, find_exporter(parts, format));
    TORCH_CHECK_VALUE(job.overwrite || !std::filesystem::exists(path), "[export] ", path.string(),
                      ": is there already. Remove it, or allow it with --overwrite.");
  }
}

/// The first transform that looks at the calibration text; empty when none does.
std::string transform_with_windows(const Recipe& recipe, const Parts& parts) {
  for (const TransformStep& step : recipe.transforms)
    if (find_transform(parts, step.name).needs_windows) return step.name;
  return "";
}

std::string what_calibrates(const Recipe& recipe, const QuantizationPlan& plan) {
  if (recipe.calibration.follow_float) return "follow_float";
  for (const LayerPlan& layer : plan.layers) {
    if (layer.bias != BiasCorrection::kNone) return "bias_correction";
    if (layer.needs_hessian) return "the solver " + plan.rules.at(layer.layer.name)->solver;
  }
  return "the static scale of inputs";
}

CalibrationOptions options_of(const Recipe& recipe) {
  const auto& wanted = recipe.calibration;
  return {wanted.windows, wanted.length, wanted.seed, wanted.field};
}

CalibrationData read_calibration(const QuantizeJob& job, const LanguageModel& model,
                                 const QuantizationPlan& plan, const std::string& transform) {
  if (!plan.needs_calibration && transform.empty()) {
    CalibrationData none;
    none.windows = at::empty({0, 0}, at::kLong);
    return none;
  }
  TORCH_CHECK_VALUE(
      !job.calibration.empty(), "[quantize] recipe ", job.recipe.name, ": ",
      transform.empty() ? what_calibrates(job.recipe, plan) : "the transform " + transform,
      " calibrates on a text: give one with --calibration FILE.");
  return read_windows(job.calibration, model, options_of(job.recipe));
}

LayerProblem problem_of(const LayerPlan& layer, const at::Tensor& weight,
                        const LayerStatistics& statistics) {
  LayerProblem problem{layer.layer.name, weight, layer.weight, statistics.hessian,
                       statistics.mean_square};
  problem.mismatch = statistics.mismatch;
  problem.input = layer.input;
  return problem;
}

SolvedLayer solved_by(LayerSolution solution) {
  return {std::move(solution.codes), std::move(solution.parameters), std::move(solution.notes)};
}

SolveFunction make_solve(const QuantizationPlan& plan, const Parts& parts) {
  return [&plan, &parts](const LayerPlan& layer, const at::Tensor& weight,
                         const LayerStatistics& statistics) {
    const LayerRule& rule = *plan.rules.at(layer.layer.name);
    const Solver& solver = find_solver(parts, rule.solver);
    LayerProblem problem = problem_of(layer, weight, statistics);
    // Statistics that were gathered for the report alone change no number.
    if (!solver.needs_hessian) problem.hessian = problem.importance = at::Tensor();
    return solved_by(solver.solve(problem, rule.solver_options));
  };
}

SolveBlockFunction make_solve_block(const QuantizationPlan& plan, const Parts& parts) {
  return [&plan, &parts](const BlockTask& block) {
    BlockProblem problem{block.name, {}, block.windows, block.loss};
    for (const BlockTask::Layer& layer : block.layers)
      problem.layers.push_back(problem_of(*layer.plan, layer.weight, layer.statistics));
    const LayerRule& rule = *plan.rules.at(block.layers.front().plan->layer.name);
    std::vector<SolvedLayer> solved;
    for (LayerSolution& solution :
         find_solver(parts, rule.solver).solve_block(problem, rule.solver_options))
      solved.push_back(solved_by(std::move(solution)));
    return solved;
  };
}

bool leads(const QuantizeJob& job) { return job.processes == nullptr || job.processes->leads(); }

struct Preparation {
  Recipe recipe;  ///< the job's; of stored statistics: with quantized_inputs false
  LanguageModel model;
  std::vector<TransformReport> transforms;
  QuantizationPlan plan;
  std::map<std::string, graph::AttentionQuantizers> attention;  ///< by module
  CalibrationData calibration;
  std::unique_ptr<StatisticsStore> statistics;  ///< null: not used
  std::vector<std::string> notes = {};

  /// Why the directory holds a graph, if it does.
  std::vector<std::string> graph_changes() const {
    auto changes = model.graph_changes;
    if (!attention.empty()) changes.emplace_back("attention");
    return changes;
  }
};

// Without times, memory and paths: the same job gives the same bytes.
nlohmann::json manifest_of(const Preparation& ready, const EngineReport& report) {
  const CalibrationData& data = ready.calibration;
  auto layers = nlohmann::json::array(), measured = nlohmann::json::array(),
       transformed = nlohmann::json::array();
  for (const NativeLayer& layer : ready.plan.outcome) layers.push_back(to_json(layer));
  for (const TransformReport& transform : ready.transforms)
    transformed.push_back(to_json(transform));
  for (const LayerReport& layer : report.layers) {
    measured.push_back({{"name", layer.name},
                        {"weight", layer.weight_spec},
                        {"signal_to_noise_db", layer.signal_to_noise_db},
                        {"output_error", layer.output_error},
                        {"followed_error", layer.followed_error},
                        {"notes", layer.notes}});
  }
  nlohmann::json manifest = {
      {"architecture", ready.model.architecture},
      {"layers", layers},
      {"recipe", {{"name", ready.recipe.name}, {"yaml", to_yaml(ready.recipe)}}},
      {"seed", ready.recipe.calibration.seed},
      {"calibration", {{"offsets", data.offsets}, {"tokens", data.tokens}, {"notes", data.notes}}},
      {"report", {{"layers", measured}, {"transforms", transformed}}}};
  if (const auto changes = ready.graph_changes(); !changes.empty()) manifest["graph"] = changes;
  return manifest;
}

// What was gathered before, in place of the text.
void use_statistics(const QuantizeJob& job, const Parts& parts, Preparation& ready) {
  for (const TransformStep& step : job.recipe.transforms)
    TORCH_CHECK_VALUE(!find_transform(parts, step.name).runs_windows, "[statistics] recipe ",
                      job.recipe.name, ": the transform ", step.name, " runs the calibration ",
                      "windows themselves, which ", job.statistics.string(),
                      " does not hold. Give --calibration in place of --statistics.");
  ready.statistics = open_statistics(
      job.statistics, {job.model, job.calibration, job.recipe.name, options_of(job.recipe)});
  ready.calibration = ready.statistics->origin().data;
  if (!ready.plan.needs_calibration || !ready.recipe.calibration.quantized_inputs) return;
  ready.recipe.calibration.quantized_inputs = false;
  ready.notes.push_back("statistics of " + job.statistics.string() +
                        " are of the float network's inputs: calibration.quantized_inputs is "
                        "false here.");
}

/// Where files without a name may lie before the working directory is there.
std::filesystem::path existing_directory_above(const std::filesystem::path& out) {
  auto directory = std::filesystem::absolute(without_slash(out)).parent_path();
  while (!std::filesystem::is_directory(directory)) directory = directory.parent_path();
  return directory;
}

// Everything that can be wrong with the input, before anything is written.
Preparation prepare(const QuantizeJob& job, const Parts& parts) {
  Preparation ready;
  ready.recipe = job.recipe;
  ready.model = load_language_model(job.model, {.resident = false});
  // Twice: faults of patterns before the transforms' work, and nodes as they are after it.
  ready.plan = plan_quantization(ready.recipe, ready.model, parts);
  const std::string transform = transform_with_windows(job.recipe, parts);
  if (!job.statistics.empty() && (ready.plan.needs_calibration || !transform.empty()))
    use_statistics(job, parts, ready);
  else
    ready.calibration = read_calibration(job, ready.model, ready.plan, transform);
  transform::TransformContext context{ready.calibration.windows, {}, {}, ready.statistics.get()};
  if (job.batch > 0) context.batch = job.batch;
  context.host_memory = job.host_memory;
  context.device = job.device;
  context.device_memory = job.device_memory;
  context.progress = job.progress && leads(job);
  context.working = existing_directory_above(job.out);
  for (const NativeLayer& layer : ready.plan.outcome) {
    context.weights[layer.name] = layer.weight;
    if (layer.input) context.inputs[layer.name] = *layer.input;
  }
  for (const TransformStep& step : job.recipe.transforms)
    ready.transforms.push_back(
        transform_model(ready.model, find_transform(parts, step.name), step.options, context));
  ready.plan = plan_quantization(ready.recipe, ready.model, parts);
  if (ready.statistics) ready.statistics->check_serves(ready.model, ready.plan.layers);
  ready.plan.needs_calibration = ready.plan.needs_calibration || !transform.empty();
  ready.attention = plan_attention(job.recipe, ready.model);
  for (const std::string& format : job.exports)
    check_exportable(find_exporter(parts, format), ready.model.config, ready.plan.outcome,
                     ready.graph_changes());
  return ready;
}

// The model's files; what transforms made of them is written here first.
std::vector<std::filesystem::path> result_files(const Preparation& ready,
                                                const NativeWriter& writer) {
  auto files = files_to_copy(ready.model.directory);
  const auto working = writer.working_directory();
  if (!ready.model.changed.empty()) {
    std::erase_if(files, [](const auto& file) { return file.filename() == "config.json"; });
    write_json_file(working / "config.json", ready.model.config);
    files.push_back(working / "config.json");
  }
  if (!ready.graph_changes().empty()) {
    graph::save_graph(graph::place_attention_quantizers(ready.model.graph, ready.attention),
                      working / NativeDirectory::kGraphFile);
    files.push_back(working / NativeDirectory::kGraphFile);
  }
  return files;
}

JobIdentity identify(const Preparation& ready, const QuantizeJob& job) {
  if (ready.statistics) {  // of this model, as open_statistics saw
    const StatisticsOrigin& origin = ready.statistics->origin();
    return {origin.model, fingerprint_of_recipe(ready.recipe), origin.text};
  }
  const bool uses_text = ready.plan.needs_calibration;
  return identify_job(job.model, ready.recipe,
                      uses_text ? job.calibration : std::filesystem::path());
}

EngineReport run(const Preparation& ready, const QuantizeJob& job, const Parts& parts,
                 NativeWriter& writer) {
  EngineOptions options;
  if (job.batch > 0) options.batch = job.batch;
  options.progress = job.progress && leads(job);
  options.device = job.device;
  options.processes = job.processes;
  options.host_memory = job.host_memory;
  options.device_memory = job.device_memory;
  options.quantized_inputs = ready.recipe.calibration.quantized_inputs;
  options.statistics = ready.plan.needs_calibration ? ready.statistics.get() : nullptr;
  options.solve_block = make_solve_block(ready.plan, parts);
  return run_engine(ready.model, ready.plan.layers, ready.calibration.windows,
                    make_solve(ready.plan, parts), writer, options);
}

EngineReport work(const Preparation& ready, const JobIdentity& identity, const QuantizeJob& job,
                  const Parts& parts, NativeWriter& writer) {
  EngineReport report = run(ready, job, parts, writer);
  auto manifest = manifest_of(ready, report);
  manifest["job"] = to_json(identity);
  writer.finish(manifest, result_files(ready, writer), parts.quantizers);
  return report;
}

// A run that was killed between its manifest and the last renaming.
EngineReport finish_again(const Preparation& ready, const Parts& parts, NativeWriter& writer) {
  const auto manifest = read_json_file(writer.working_directory() / "laconic.json");
  EngineReport report;
  for (const auto& layer : manifest.at("report").at("layers"))
    report.layers.push_back(layer_report_from_json(layer));
  writer.finish(manifest, result_files(ready, writer), parts.quantizers);
  return report;
}

// Long texts, one line each: "rotate: 48 layers ...".
void note_transforms(const std::vector<TransformReport>& reports, QuantizeOutcome& outcome) {
  outcome.transforms = reports;
  for (const TransformReport& report : reports) {
    for (const std::string& text : report.done) outcome.notes.push_back(report.name + ": " + text);
    for (const std::string& text : report.fallbacks)
      outcome.notes.push_back(report.name + ", not as asked: " + text);
  }
}

void note_preparation(const Preparation& ready, const QuantizeJob& job, QuantizeOutcome& outcome) {
  outcome.offsets = ready.calibration.offsets;
  outcome.notes = ready.calibration.notes;
  outcome.notes.insert(outcome.notes.end(), ready.notes.begin(), ready.notes.end());
  note_transforms(ready.transforms, outcome);
  for (std::string& line : describe_attention(ready.attention))
    outcome.notes.push_back(std::move(line));
  if (!ready.plan.needs_calibration && !job.calibration.empty())
    outcome.notes.emplace_back("the calibration text was not used: this recipe needs none.");
  if (!ready.statistics && !job.statistics.empty())
    outcome.notes.emplace_back("the statistics were not used: this recipe needs none.");
}

/// A process that does not lead: it writes nothing.
EngineReport help(const Preparation& ready, const QuantizeJob& job, const Parts& parts) {
  if (!wait_for_work(*job.processes)) return {};
  NativeWriter writer(job.out, engine_shard_count(ready.model), job.overwrite);
  check_shared_directory(*job.processes, writer.working_directory());
  return run(ready, job, parts, writer);
}

EngineReport lead(const Preparation& ready, const JobIdentity& identity, const QuantizeJob& job,
                  const Parts& parts, QuantizeOutcome& outcome) {
  NativeWriter writer(job.out, engine_shard_count(ready.model), job.overwrite);
  JobDirectory directory(writer.working_directory(), identity);
  outcome.resumed = directory.state() != JobDirectory::State::kNew;
  const bool is_finished = directory.state() == JobDirectory::State::kFinished;
  try {
    if (job.processes != nullptr) {
      give_work(*job.processes, !is_finished);
      if (!is_finished) check_shared_directory(*job.processes, writer.working_directory());
    }
    return is_finished ? finish_again(ready, parts, writer)
                       : work(ready, identity, job, parts, writer);
  } catch (const c10::ValueError&) {
    directory.clean_up(/*wrong_input=*/true);
    throw;
  } catch (...) {
    directory.clean_up(/*wrong_input=*/false);
    throw;
  }
}

EngineReport quantize_into(const QuantizeJob& job, const Parts& parts, QuantizeOutcome& outcome) {
  Preparation ready = prepare(job, parts);
  place(ready.model, job.device, /*resident=*/false);
  note_preparation(ready, job, outcome);
  const JobIdentity identity = identify(ready, job);
  if (job.processes == nullptr) return lead(ready, identity, job, parts, outcome);
  check_same_job(*job.processes, identity, job.out);
  if (!leads(job)) return help(ready, job, parts);
  EngineReport report = lead(ready, identity, job, parts, outcome);
  outcome.processes = job.processes->size();
  for (std::string& note : job.processes->notes()) outcome.notes.push_back(std::move(note));
  return report;
}

}  // namespace

std::filesystem::path export_path(const std::filesystem::path& out, const Exporter& exporter) {
  const std::string base = without_slash(out).string(), name = exporter.name;
  if (exporter.makes_directory) return base + "-" + name;
  // "gguf-f16": a kind of the format, OUT-f16.gguf.
  const size_t dash = std::min(name.find('-'), name.size());
  return base + name.substr(dash) + "." + name.substr(0, dash);
}

void check_exportable(const Exporter& exporter, const nlohmann::json& config,
                      const std::vector<NativeLayer>& layers,
                      const std::vector<std::string>& graph_changes) {
  std::vector<std::string> obstacles = exporter.obstacles(config, layers);
  for (std::string& reason : graph_obstacles(graph_changes)) obstacles.push_back(std::move(reason));
  if (obstacles.empty()) return;
  const size_t shown = std::min(obstacles.size(), kObstaclesShown);
  std::string list = join(std::span(obstacles).first(shown), "\n  ");
  if (shown < obstacles.size())
    list += "\n  and " + std::to_string(obstacles.size() - shown) + " more of this kind";
  TORCH_CHECK_VALUE(false, "[export] ", exporter.name, " cannot hold this model:\n  ", list);
}

void check_quantize(const QuantizeJob& job, const Parts& parts) {
  check_places(job, parts);
  const Preparation ready = prepare(job, parts);
  check_own_weights(ready.model, ready.plan.layers);  // else run_engine does
}

QuantizeOutcome run_quantize(const QuantizeJob& job, const Parts& parts) {
  const at::NoGradGuard no_gradient;
  const Stopwatch clock;
  QuantizeOutcome outcome;
  check_places(job, parts);
  const std::filesystem::path out = without_slash(job.out);
  outcome.report = quantize_into(job, parts, outcome);
  outcome.seconds = clock.seconds();
  if (!leads(job)) return outcome;
  outcome.size = measure_size(out, parts.quantizers);
  if (job.exports.empty()) return outcome;
  const auto native = NativeDirectory::open(out, parts.quantizers);
  for (const std::string& format : job.exports) {
    const Exporter& exporter = find_exporter(parts, format);
    const auto path = export_path(out, exporter);
    outcome.exports.push_back({format, path, exporter.write(*native, path, job.overwrite)});
  }
  return outcome;
}

}  // namespace laconic
