#include "laconic/kernel/fused/pieces.h"

#include "laconic/kernel/fused/bands.h"
#include "laconic/kernel/fused/loops.h"

namespace laconic::kernel {

std::vector<RangeKeys> keys_of_scales(const FusedJob& job) {
  const ScaleRuns& runs = job.runs;
  if (runs.in_bands()) return keys_of_bands(job);
  std::vector<RangeKeys> pieces(static_cast<size_t>(runs.pieces()));
  for_pieces(
      runs, [&](int64_t first, int64_t last) { find_piece_keys(job, first, last, pieces.data()); });
  auto keys = sums_of_scales(runs, std::move(pieces));
  if (runs.length % runs.group != 0)
    for (int64_t i = runs.groups() - 1; i < runs.scales(); i += runs.groups())
      keys[static_cast<size_t>(i)].add_zero();
  return keys;
}

}  // namespace laconic::kernel
