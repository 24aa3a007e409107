#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "laconic/calibrate/memory_plan.h"

namespace laconic {

/// One segment's needs of one memory, bytes.
struct SegmentNeeds {
  std::string largest;     ///< the layer that decides
  int64_t weights = 0;     ///< all parameters, and what was solved so far
  int64_t solving = 0;     ///< the most that statistics and solver of one input take
  int64_t waiting = 0;     ///< statistics of a block's inputs whose layers are solved together
  int64_t per_window = 0;  ///< while a window runs through
  int64_t entering = 0;    ///< a window's values between two segments
  int64_t widest = 0;      ///< elements a token
};

/// Where the segments work: main memory holds what was solved, too, and the arithmetic of another
/// device makes other copies.
enum class Memory { kMain, kDevice };

/// Needs of every segment, then (in main memory) those of what lies outside of the blocks. From
/// shapes alone.
std::vector<SegmentNeeds> segment_needs(const PlannedWork& work, Memory memory);

/// What lies in that memory beside what is worked on.
struct Held {
  bool carried = false;   ///< what the windows carry from segment to segment
  bool hessians = false;  ///< those that wait
};

/// Bytes while a segment is worked on, `batch` windows at once.
int64_t needed_bytes(const PlannedWork& work, const SegmentNeeds& needs, int64_t batch, Held held);

}  // namespace laconic
