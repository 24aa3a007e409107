#pragma once

#include <cstdint>
#include <vector>

#include "laconic/calibrate/memory_plan.h"

namespace laconic {

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
