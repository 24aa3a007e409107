#include <cstdlib>
#include <nlohmann/json.hpp>

#include "laconic/base/memory.h"
#include "laconic/base/text.h"
#include "laconic/calibrate/memory_plan.h"
#include "laconic/cli/commands.h"
#include "laconic/cli/table.h"
#include "laconic/processes/processes.h"
#include "laconic/recipe/pipeline.h"

namespace laconic {
namespace {

nlohmann::json to_json(const QuantizeCommand& command, const QuantizeOutcome& outcome,
                       const Recipe& recipe) {
  auto exports = nlohmann::json::array();
  for (const FinishedExport& done : outcome.exports) {
    exports.push_back({{"format", done.format},
                       {"path", done.path.string()},
                       {"bytes", done.report.bytes},
                       {"notes", done.report.notes}});
  }
  auto transforms = nlohmann::json::array();
  for (const TransformReport& transform : outcome.transforms)
    transforms.push_back({{"name", transform.name}, {"memory", to_json(transform.memory)}});
  return {{"model", command.model},
          {"recipe", recipe.name},
          {"out", command.out},
          {"bits_per_weight", outcome.size.bits_per_weight},
          {"bits_per_parameter", outcome.size.bits_per_parameter},
          {"bytes", outcome.size.bytes},
          {"seed", recipe.calibration.seed},
          {"calibration_offsets", outcome.offsets},
          {"notes", outcome.notes},
          {"exports", exports},
          {"resumed", outcome.resumed},
          {"processes", outcome.processes},
          {"seconds", outcome.seconds},
          {"peak_bytes", peak_resident_bytes()},
          {"transforms", transforms},
          {"report", to_json(outcome.report)}};
}

std::string readable(const QuantizeCommand& command, const QuantizeOutcome& outcome,
                     const Recipe& recipe) {
  const ModelSize& size = outcome.size;
  std::string text = command.out + ": " + recipe.name + ", " +
                     std::to_string(outcome.report.layers.size()) + " layers, " +
                     fixed(size.bits_per_weight, 2) + " bits a weight (" +
                     fixed(size.bits_per_parameter, 2) + " over the whole model), " +
                     readable_bytes(size.bytes) + ", " + readable_seconds(outcome.seconds) +
                     ", peak memory " + readable_bytes(peak_resident_bytes()) + "\n";
  text += describe_memory(outcome.report.memory);
  for (const std::string& note : outcome.notes) text += "  " + note + "\n";
  for (const FinishedExport& done : outcome.exports) {
    text +=
        done.path.string() + ": " + done.format + ", " + readable_bytes(done.report.bytes) + "\n";
    for (const std::string& note : done.report.notes) text += "  " + note + "\n";
  }
  return text;
}

}  // namespace

void run_command(const QuantizeCommand& command, const Session& session) {
  const auto point = find_meeting_point(std::getenv);
  const auto processes = point ? meet(*point) : nullptr;
  QuantizeJob job{.model = command.model,
                  .recipe = load_recipe(command.recipe, command.settings, session.parts),
                  .calibration = command.calibration,
                  .out = command.out,
                  .statistics = command.statistics,
                  .exports = command.exports,
                  .batch = command.batch,
                  .host_memory = command.host_memory,
                  .device_memory = command.device_memory,
                  .overwrite = command.overwrite,
                  .progress = session.progress,
                  .device = session.device,
                  .processes = processes.get()};
  if (command.seed >= 0) job.recipe.calibration.seed = static_cast<uint64_t>(command.seed);
  const QuantizeOutcome outcome = run_quantize(job, session.parts);
  if (point && point->rank > 0) return;  // the first one prints
  if (session.json) return print(to_json(command, outcome, job.recipe));
  print(readable(command, outcome, job.recipe));
}

}  // namespace laconic
