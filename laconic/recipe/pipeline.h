#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/recipe/recipe.h"
#include "laconic/recipe/sizes.h"

namespace laconic {

/// The main job: a model, a recipe, and where the result goes.
struct QuantizeJob {
  std::filesystem::path model;  ///< a float model's directory
  Recipe recipe;
  std::filesystem::path calibration;  ///< a text; may be empty when no solver needs one
  std::filesystem::path out;          ///< the native directory to write
  /// In place of the text: what run_calibrate wrote. Statistics are then of the float network
  /// (calibration.quantized_inputs false, whatever the recipe says; a note tells).
  std::filesystem::path statistics = {};
  std::vector<std::string> exports;  ///< names of exporters
  int64_t batch = 0;                 ///< calibration windows at once; 0: the engine's choice
  uint64_t host_memory = 0;          ///< EngineOptions::host_memory
  uint64_t device_memory = 0;        ///< EngineOptions::device_memory
  bool overwrite = false;            ///< replace a finished `out` once the new one is complete
  bool progress = false;
  at::Device device = at::kCPU;  ///< of network, transforms and solvers
  /// Others with the same job, which see the same directories (EngineOptions::processes).
  Processes* processes = nullptr;
};

struct FinishedExport {
  std::string format;
  std::filesystem::path path;
  ExportReport report;
};

struct QuantizeOutcome {
  std::vector<TransformReport> transforms;
  EngineReport report;
  ModelSize size;
  std::vector<FinishedExport> exports;
  std::vector<int64_t> offsets;    ///< of the calibration windows, tokens
  std::vector<std::string> notes;  ///< what a user should know, one sentence each
  int64_t processes = 1;
  double seconds = 0;  ///< load, calibrate, solve, write; exports not counted
  bool resumed = false;
};

/// Quantizes by a recipe and exports. Everything that can be known before the work is checked
/// before it: the recipe's patterns and shapes, what the exports cannot hold, files that are there
/// already.
///
/// Works in `out`.partial: run again with the same model, recipe and calibration text after an
/// interruption, it goes on after the last finished block and gives the same bytes.
/// Of several processes the first writes and exports; the outcome of the others has reports and
/// notes alone.
/// @throws c10::ValueError for all of the above, also when `out`.partial is of another job, or
/// when another process has another job; Interrupted.
QuantizeOutcome run_quantize(const QuantizeJob& job, const Parts& parts = {});

/// All the checks of run_quantize without the work, for callers with several jobs.
/// @throws c10::ValueError
void check_quantize(const QuantizeJob& job, const Parts& parts = {});

/// Where an export of the directory `out` goes: out.gguf, out-f16.gguf (gguf-f16), or
/// out-compressed-tensors.
std::filesystem::path export_path(const std::filesystem::path& out, const Exporter& exporter);

/// Refuses what the exporter cannot hold. @throws c10::ValueError with every obstacle (the first
/// ten).
/// @param graph_changes  LanguageModel::graph_changes: what no format but the native one can hold.
void check_exportable(const Exporter& exporter, const nlohmann::json& config,
                      const std::vector<NativeLayer>& layers,
                      const std::vector<std::string>& graph_changes);

}  // namespace laconic
