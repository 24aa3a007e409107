#include <nlohmann/json.hpp>

#include "laconic/base/memory.h"
#include "laconic/base/text.h"
#include "laconic/calibrate/memory_plan.h"
#include "laconic/cli/commands.h"
#include "laconic/cli/table.h"
#include "laconic/recipe/calibrate.h"

namespace laconic {
namespace {

nlohmann::json to_json(const CalibrateCommand& command, const CalibrateOutcome& outcome) {
  return {{"model", command.model},
          {"out", command.out},
          {"layers", outcome.layers},
          {"inputs", outcome.inputs},
          {"windows", outcome.windows},
          {"length", outcome.length},
          {"seed", command.seed},
          {"calibration_offsets", outcome.offsets},
          {"bytes", outcome.bytes},
          {"notes", outcome.notes},
          {"seconds", outcome.seconds},
          {"peak_bytes", peak_resident_bytes()},
          {"memory", to_json(outcome.memory)}};
}

std::string readable(const CalibrateCommand& command, const CalibrateOutcome& outcome) {
  std::string text = command.out + ": statistics of " + std::to_string(outcome.inputs) +
                     " inputs of " + std::to_string(outcome.layers) + " layers over " +
                     std::to_string(outcome.windows) + " windows of " +
                     std::to_string(outcome.length) + " tokens, " + readable_bytes(outcome.bytes) +
                     ", " + readable_seconds(outcome.seconds) + ", peak memory " +
                     readable_bytes(peak_resident_bytes()) + "\n";
  text += describe_memory(outcome.memory);
  for (const std::string& note : outcome.notes) text += "  " + note + "\n";
  return text;
}

}  // namespace

void run_command(const CalibrateCommand& command, const Session& session) {
  const CalibrationOptions options{.windows = command.windows,
                                   .length = command.length,
                                   .seed = static_cast<uint64_t>(command.seed),
                                   .field = command.field};
  const CalibrateOutcome outcome = run_calibrate({.model = command.model,
                                                  .calibration = command.calibration,
                                                  .out = command.out,
                                                  .options = options,
                                                  .batch = command.batch,
                                                  .host_memory = command.host_memory,
                                                  .device_memory = command.device_memory,
                                                  .overwrite = command.overwrite,
                                                  .progress = session.progress,
                                                  .device = session.device});
  if (session.json) return print(to_json(command, outcome));
  print(readable(command, outcome));
}

}  // namespace laconic
