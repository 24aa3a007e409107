#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "laconic/kernel/half_quadratic/shifts.h"

namespace hwy {
class Sorter;
}

namespace laconic::kernel {

/// Scales that follow from a round without a restriction: |median| or the minimum if that is more,
/// with the sign of the median, times the threshold and divided by it again. A zero point is that
/// of `range_start`, [rows] float32, rounded and clamped to the codes; undefined: none.
struct FreeScales {
  float minimum = 0, threshold = 1;
  at::Tensor range_start;
  float of_median(float median) const;
};

/// What rounds begin with, [rows] float32.
struct HalfQuadraticStart {
  at::Tensor scale;
  at::Tensor zero_point;  ///< whole numbers; undefined: none
};
/// Rounds that are done together. beta: of the first, `kappa` times that of the next.
struct HalfQuadraticTimes {
  double beta, kappa = 1;
  int64_t rounds = 1;
};

/// What each round found.
struct HalfQuadraticRounds {
  std::vector<double> errors;  ///< [rounds]: sum of |error| over all elements, before the round
  at::Tensor medians;          ///< [rounds, rows] float32
};

/// Half-quadratic search of scales by integer codes, one scale a row (quantizer/search.h says what
/// it minimises). The median of a round is that over the row of the quotients (x - W) / (code -
/// zero point) of codes other than the zero point, where W is what shrinking the error by
/// |error|^(p-1) / beta leaves; the scale itself without such codes.
///
/// The quotient less the scale is min(u, u^(p-1) / beta) / |code - zero point| with a sign, u the
/// size of the error. In a sorted row what shifts farther than an edge lies in two runs for each
/// code, found from where they were a round before; errors are differences of sums. So a round
/// costs as many steps as there are codes, not elements. A window around the last median is kept,
/// and in rows of 256 elements or more the median is the window's number that has half of the
/// shifts above it when those inside, a sixteenth of all at most, are taken as spread evenly.
///
/// Shorter rows are not sorted: their median is that of all shifts. It is found among those in the
/// window, told by estimates from the others, and rounds of a row that has come to rest are not
/// done again.
class HalfQuadraticSearch {
 public:
  /// @param rows  [rows, n] float32, contiguous, finite, fewer than 2^31 in a row: copied.
  HalfQuadraticSearch(const at::Tensor& rows, float q_min, float q_max, double p);

  /// One round.
  HalfQuadraticRounds round(const HalfQuadraticStart& start, double beta) {
    return run(start, {beta}, nullptr);
  }
  /// Several, each row's one after the other: as many single rounds would give the same.
  HalfQuadraticRounds rounds(const HalfQuadraticStart& start, const HalfQuadraticTimes& times,
                             const FreeScales& scales) {
    return run(start, times, &scales);
  }

 private:
  HalfQuadraticRounds run(const HalfQuadraticStart& start, const HalfQuadraticTimes& times,
                          const FreeScales* free);
  void sort(const at::Tensor& rows, int64_t row, const hwy::Sorter& sorter);
  /// What the rounds of each row begin with and write.
  struct RoundsOfRows {
    const HalfQuadraticTimes& times;
    const FreeScales* free;
    const float *scales, *zero_points, *range_starts;
    double* errors;
    float* medians;
  };
  RowCodes codes_of(float scale, float zero_point) const;
  /// @param round  gives the median shift and the error of codes.
  template <class Round>
  void rounds_of_row(int64_t row, const RoundsOfRows& all, const Round& round);
  void rounds_of_short_row(int64_t row, const RoundsOfRows& all, ShortRoom& room);
  void rounds_of_sorted_row(int64_t row, const RoundsOfRows& all);

  int64_t rows_, count_;
  float q_min_, q_max_, p_;
  at::Tensor x_;     ///< [rows, n], or if not short [rows, n + 2]: sorted between the infinities
  at::Tensor sums_;  ///< [rows, n + 1] float64; undefined for short rows
  CodePowers powers_;
  RowPlaces places_;
  std::vector<float> shift_, width_;
  std::vector<ShortRound> last_;  ///< of short rows
};

}  // namespace laconic::kernel
