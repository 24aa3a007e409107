#pragma once

#include <cstdint>

namespace laconic::kernel {

/// A contiguous tensor as rows of runs that share a scale: run j of row r has the scale
/// (r / band % period) * groups() + j. The last run of a row may be shorter than the others.
struct ScaleRuns {
  int64_t rows = 0, length = 0;  ///< the tensor has rows * length elements
  int64_t group = 0;             ///< elements of a run, 1 to length
  int64_t period = 0;            ///< bands that have scales of their own
  /// Rows one after the other that share their scales; of more than one row `period` is the number
  /// of all bands, the last of which may have fewer rows.
  int64_t band = 1;
  constexpr int64_t groups() const { return (length + group - 1) / group; }
  constexpr int64_t scales() const { return period * groups(); }
  constexpr int64_t runs() const { return rows * groups(); }
  // Long runs are cut into pieces, always the same ones.
  static constexpr int64_t kPiece = 16384;
  constexpr int64_t pieces_of_run() const { return (group + kPiece - 1) / kPiece; }
  constexpr int64_t pieces() const { return runs() * pieces_of_run(); }
  constexpr int64_t scale_of_run(int64_t run) const {
    return run / groups() / band % period * groups() + run % groups();
  }
  constexpr bool in_bands() const { return band > 1; }
  /// Whether there are fewer elements than others have; they count as filled with zeros.
  constexpr bool is_short(int64_t scale) const {
    return (length % group != 0 && scale % groups() == groups() - 1) ||
           (rows % band != 0 && scale / groups() == period - 1);
  }
};

/// Longest run of a band that the loops know: the numbers of a row's columns stay in a cache.
inline constexpr int64_t kLongestBandRun = 1024;

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
