#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/segments.h"

namespace laconic {

/// The engine's work as its memory is planned: everything is known from shapes.
struct PlannedWork {
  const LanguageModel& model;
  const EngineGraph& graph;
  bool runs_float = false;  ///< the float network beside the quantized one
  size_t run = 0;           ///< so many segments are run, from the first on
  int64_t windows = 0;      ///< calibration windows
  int64_t length = 0;       ///< tokens of each
  bool solves = true;       ///< else statistics are gathered, and nothing more
};

/// Chooses how to stay under EngineOptions::host_memory, for a process that holds `resident` bytes
/// now: first fewer windows at once, then activations on disk. Hessians stay in memory: those of
/// one input at a time (of a block whose layers are solved together, of all of its inputs). Without
/// a limit nothing is changed.
/// @throws c10::ValueError for a limit that is too small, naming the layer that needs the most and
/// what would do.
MemoryReport plan_memory(const PlannedWork& work, const EngineOptions& options, uint64_t resident);

nlohmann::json to_json(const MemoryReport& report);
/// A line for people, "  ... on disk ...\n"; empty when nothing was.
std::string describe_memory(const MemoryReport& report);

}  // namespace laconic
