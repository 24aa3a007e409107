#pragma once

#include <cstdint>

namespace laconic::kernel {

/// A contiguous tensor as rows of runs that share a scale: run j of row r has the scale
/// (r % period) * groups() + j. The last run of a row may be shorter than the others.
struct ScaleRuns {
  int64_t rows = 0, length = 0;  ///< the tensor has rows * length elements
  int64_t group = 0;             ///< elements of a run, 1 to length
  int64_t period = 0;            ///< rows that have scales of their own
  constexpr int64_t groups() const { return (length + group - 1) / group; }
  constexpr int64_t scales() const { return period * groups(); }
  constexpr int64_t runs() const { return rows * groups(); }
  // Long runs are cut into pieces, always the same ones.
  static constexpr int64_t kPiece = 16384;
  constexpr int64_t pieces_of_run() const { return (group + kPiece - 1) / kPiece; }
  constexpr int64_t pieces() const { return runs() * pieces_of_run(); }
  constexpr int64_t scale_of_run(int64_t run) const {
    return run / groups() % period * groups() + run % groups();
  }
};

/// Where elements lie that are worked on in one go, and their scale.
struct Place {
  int64_t begin, count, scale;
};

/// Place of a run or of a piece of one; without divisions when all runs are as long.
class Places {
 public:
  constexpr explicit Places(const ScaleRuns& runs, int64_t pieces)
      : runs_(runs),
        pieces_(pieces),
        is_even_(pieces == 1 && runs.period == runs.rows && runs.length % runs.group == 0) {}
  constexpr Place operator[](int64_t i) const {
    if (is_even_) return {i * runs_.group, runs_.group, i};
    const int64_t run = i / pieces_, row = run / runs_.groups(), group = run % runs_.groups();
    const int64_t skipped = i % pieces_ * ScaleRuns::kPiece, first = group * runs_.group + skipped;
    // By hand: std::min takes references, which the constants of the host do not have on a device.
    int64_t count = runs_.group - skipped;
    if (runs_.length - first < count) count = runs_.length - first;
    if (pieces_ > 1 && count > ScaleRuns::kPiece) count = ScaleRuns::kPiece;
    return {row * runs_.length + first, count < 0 ? 0 : count, runs_.scale_of_run(run)};
  }

 private:
  ScaleRuns runs_;
  int64_t pieces_;
  bool is_even_;
};

}  // namespace laconic::kernel
