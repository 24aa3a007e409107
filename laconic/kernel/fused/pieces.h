#pragma once

#include <algorithm>
#include <vector>

#include "laconic/kernel/fused/job.h"
#include "laconic/kernel/parallel.h"

namespace laconic::kernel {

inline constexpr int64_t kGrain = 32768;  ///< elements for a thread at least

inline int64_t grain_of(int64_t elements) { return std::max<int64_t>(1, kGrain / elements); }

/// `body(first, last)` for pieces of runs, on several threads.
template <class Body>
void for_pieces(const ScaleRuns& runs, const Body& body) {
  parallel_for(0, runs.pieces(), grain_of(std::min(runs.group, ScaleRuns::kPiece)), body);
}

/// What the pieces of each scale add up to.
template <class Part>
std::vector<Part> sums_of_scales(const ScaleRuns& runs, std::vector<Part> pieces) {
  if (runs.pieces() == runs.scales()) return pieces;  // one each
  std::vector<Part> scales(static_cast<size_t>(runs.scales()));
  for (int64_t i = 0; i < runs.pieces(); ++i)
    scales[static_cast<size_t>(runs.scale_of_run(i / runs.pieces_of_run()))].add(
        pieces[static_cast<size_t>(i)]);
  return scales;
}

/// Extremes of every scale, by the job's statistic: of pieces, or of patches where runs lie in
/// bands.
std::vector<RangeKeys> keys_of_scales(const FusedJob& job);

}  // namespace laconic::kernel
