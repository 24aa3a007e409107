#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/segments.h"

namespace laconic {

/// One segment's needs of one memory, bytes.
struct SegmentNeeds {
  std::string kind = "layer";  ///< before its name
  std::string largest = {};    ///< what decides
  int64_t weights = 0;         ///< all parameters, and what was solved so far
  int64_t solving = 0;         ///< the most that statistics and solver of one input take
  int64_t waiting = 0;         ///< statistics of a block's inputs whose layers are solved together
  int64_t per_window = 0;      ///< while a window runs through
  int64_t entering = 0;        ///< a window's values between two segments
  int64_t widest = 0;          ///< elements a token
};

/// Work of another kind than the engine's, and the words of its refusal.
struct OtherWork {
  std::string where = "[engine]";
  std::string worker = "its Hessian and solver";
  std::string what_helps =
      "choose shorter windows (calibration.length), a solver that needs no Hessian (nearest), or "
      "leave the layer out (skip: true)";
  /// By layer: what is made of the statistics of its input while they are there, bytes.
  std::map<std::string, int64_t> looks = {};
  /// Needs beside those of the segments, not at the same time.
  std::vector<SegmentNeeds> others = {};
  int64_t kept = 0;  ///< of results, which stay: bytes at the end
};

/// The engine's work as its memory is planned: everything is known from shapes.
struct PlannedWork {
  const LanguageModel& model;
  const EngineGraph& graph;
  bool runs_float = false;   ///< the float network beside the quantized one
  size_t run = 0;            ///< so many segments are run, from the first on
  int64_t windows = 0;       ///< calibration windows
  int64_t length = 0;        ///< tokens of each
  bool solves = true;        ///< else statistics are gathered, and nothing more
  bool holds_blocks = true;  ///< all weights of a segment at once; else each where it is used
  OtherWork other = {};
};

/// Chooses how to stay under EngineOptions::host_memory and device_memory, for a process that holds
/// `resident` bytes now: first fewer windows at once, then what they carry from block to block in
/// main memory (of a device), then on disk; each time the Hessians of a block whose layers are
/// solved together, which wait for one another, before it. Others are there one input's at a time.
/// Without a limit nothing is changed. Needs no device.
/// @throws c10::ValueError for a limit that is too small, naming the layer that needs the most and
/// what would do; for device_memory of the CPU.
MemoryReport plan_memory(const PlannedWork& work, const EngineOptions& options, uint64_t resident);

/// Makes EngineOptions::device_memory a hard limit, and lets the device's peak count from now on.
/// Nothing for the CPU. @throws as kernel::limit_device_memory.
void obey_device_limit(const EngineOptions& options);
void note_device_peak(const EngineOptions& options, MemoryReport& report);

nlohmann::json to_json(const MemoryReport& report);
/// Lines for people, "  ... on disk ...\n"; empty when there is nothing to say.
std::string describe_memory(const MemoryReport& report);

}  // namespace laconic
