#pragma once

// Tensors whose rows share their scales in bands (ScaleRuns::band), cut into patches: for the CPU
// and CUDA alike.

#include "laconic/kernel/fused/runs.h"

namespace laconic::kernel {

/// Some columns of some consecutive rows of one band.
struct Patch {
  int64_t first_row, rows, first_column, columns;
  int64_t first_scale;  ///< that of the first column
  int64_t part;         ///< which of the patches that have these scales
};

/// Always the same ones for the same runs. Each has whole runs, or part of one.
class Patches {
 public:
  /// @param rows, columns  of a patch at most
  constexpr Patches(const ScaleRuns& runs, int64_t rows, int64_t columns)
      : runs_(runs),
        rows_(runs.band < rows ? runs.band : rows),
        columns_(runs.group < columns ? columns / runs.group * runs.group : columns),
        layers_((runs.band + rows_ - 1) / rows_),
        cuts_(runs.group > columns ? (runs.group + columns - 1) / columns : 1),
        across_(cuts_ > 1 ? runs.groups() * cuts_ : (runs.length + columns_ - 1) / columns_) {}
  constexpr int64_t count() const { return runs_.period * layers_ * across_; }
  constexpr int64_t rows() const { return rows_; }
  constexpr int64_t columns() const { return columns_; }
  /// Patches that have the same scales.
  constexpr int64_t parts() const { return layers_ * cuts_; }
  /// Those of short bands and runs may be empty.
  constexpr Patch operator[](int64_t i) const {
    const int64_t column = i % across_, layer = i / across_ % layers_, band = i / across_ / layers_;
    const int64_t cut = column % cuts_, skipped = layer * rows_;
    Patch patch{};
    patch.first_row = band * runs_.band + skipped;
    patch.rows = least(rows_, runs_.band - skipped, runs_.rows - patch.first_row);
    patch.first_column =
        cuts_ > 1 ? column / cuts_ * runs_.group + cut * columns_ : column * columns_;
    const int64_t of_run = cuts_ > 1 ? runs_.group - cut * columns_ : columns_;
    patch.columns = least(columns_, of_run, runs_.length - patch.first_column);
    patch.first_scale = band * runs_.groups() + patch.first_column / runs_.group;
    patch.part = layer * cuts_ + cut;
    return patch;
  }

 private:
  /// By hand: std::min takes references, which constants of the host do not have on a device.
  static constexpr int64_t least(int64_t a, int64_t b, int64_t c) {
    const int64_t first = a < b ? a : b, all = first < c ? first : c;
    return all < 0 ? 0 : all;
  }

  ScaleRuns runs_;
  int64_t rows_, columns_, layers_, cuts_, across_;
};

}  // namespace laconic::kernel
