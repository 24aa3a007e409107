#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "laconic/calibrate/data.h"
#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/statistics_store.h"
#include "laconic/load/language_model.h"

namespace laconic {

/// Statistics of a float model's inputs, once for any number of recipes.
struct CalibrateJob {
  std::filesystem::path model;  ///< a float model's directory
  std::filesystem::path calibration, out;
  CalibrationOptions options;
  int64_t batch = 0;           ///< windows at once; 0: the engine's choice
  uint64_t host_memory = 0;    ///< EngineOptions::host_memory
  uint64_t device_memory = 0;  ///< EngineOptions::device_memory
  bool overwrite = false;      ///< replace finished statistics once the new ones are complete
  bool progress = false;
  at::Device device = at::kCPU;
};

struct CalibrateOutcome {
  int64_t layers = 0, inputs = 0, windows = 0, length = 0;
  uint64_t bytes = 0;                 ///< of all files
  std::vector<int64_t> offsets = {};  ///< of the windows, tokens
  std::vector<std::string> notes = {};
  MemoryReport memory = {};
  double seconds = 0;
};

/// Works in `out`.partial, which is removed when the work does not end; a rest of a killed run is
/// replaced. @throws c10::ValueError for wrong input, before anything is written; Interrupted.
CalibrateOutcome run_calibrate(const CalibrateJob& job);

/// Calibration windows for a model: no longer than it has positions (a note says so).
CalibrationData read_windows(const std::filesystem::path& text, const LanguageModel& model,
                             CalibrationOptions options);

/// What a job's statistics must be of.
struct StatisticsUse {
  std::filesystem::path model, calibration;  ///< the text may be empty: not asked
  std::string recipe;                        ///< its name
  CalibrationOptions wanted;                 ///< of the recipe
};
/// @throws c10::ValueError naming what differs: the model, the text, windows, length, seed, field.
std::unique_ptr<StatisticsStore> open_statistics(const std::filesystem::path& directory,
                                                 const StatisticsUse& use);

}  // namespace laconic
