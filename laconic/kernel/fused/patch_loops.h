#pragma once

#include <algorithm>
#include <cstdint>

#include "laconic/kernel/fused/job.h"
#include "laconic/kernel/fused/patches.h"

namespace laconic::kernel {

// The loops of one thread over runs in bands: row by row, each column with numbers of its own.

/// Columns of a patch at most.
inline constexpr int64_t kPatchColumns = kLongestBandRun;

/// The columns of scale `first` + i of a patch, one after the other.
class ColumnsOfScales {
 public:
  ColumnsOfScales(const ScaleRuns& runs, const Patch& patch, int64_t first = 0)
      : group_(runs.group), columns_(patch.columns), first_(first) {}
  int64_t count() const { return (columns_ + group_ - 1) / group_ - first_; }
  int64_t begin(int64_t i) const { return (first_ + i) * group_; }
  int64_t end(int64_t i) const { return std::min(begin(i) + group_, columns_); }

 private:
  int64_t group_, columns_, first_;
};

/// The numbers of `count` scales, each to all of its columns.
inline void spread(const float* numbers, const ColumnsOfScales& of, int64_t count, float* columns) {
  for (int64_t i = 0; i < count; ++i)
    std::fill(columns + of.begin(i), columns + of.end(i), numbers[i]);
}

/// As quantize_found_runs, for a patch that has all rows of its band.
bool quantize_found_patch(const FusedJob& job, const Patch& patch);

void quantize_given_patch(const FusedJob& job, const Patch& patch);

/// Extremes of the scales of the patch into keys[0], ...
void find_patch_keys(const FusedJob& job, const Patch& patch, RangeKeys* keys);

/// Gradient sums of the scales of the patch into sums[0], ...
void sum_patch_gradients(const BackwardJob& job, const Patch& patch, GradientSums* sums);

/// Gradients of the elements of the patch.
void write_patch_gradients(const BackwardJob& job, const Patch& patch);

}  // namespace laconic::kernel
