#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "laconic/kernel/half_quadratic/sorted_row.h"

namespace laconic::kernel {

/// How a round shrinks errors: their size less size^(p-1) / beta.
struct Shrinkage {
  float p;
  double beta;
};

/// The codes of one scale less its zero point: the whole numbers from `low` to `high`.
struct RowCodes {
  float scale, low, high;  ///< scale > 0
  bool operator==(const RowCodes&) const = default;
};

/// A number that shifts are compared with: those of its sign that are farther from zero are
/// counted.
struct ShiftEdge {
  float size;
  bool is_negative;
};
inline ShiftEdge edge_at(double shift) { return {static_cast<float>(std::abs(shift)), shift < 0}; }

/// Two edges, and how many shifts are above each.
using EdgePair = std::array<ShiftEdge, 2>;
using CountPair = std::array<int64_t, 2>;

/// What a search looks for of each code in a sorted row: the end of its numbers, its value, and
/// where shifts are near and far enough for each of two edges.
struct CodePlaces {
  EdgePlaces end, middle, near[2], far[2];
};
/// The places of all rows.
class RowPlaces {
 public:
  /// Of none: for rows that are not sorted.
  RowPlaces() = default;
  RowPlaces(int64_t rows, int64_t codes);
  CodePlaces operator[](int64_t row);

 private:
  static constexpr int64_t kKinds = 6;
  int64_t room_ = 0;
  std::vector<int32_t> places_;
  std::vector<float> beside_;
};

/// k^(1 / (p - 1)) of the size of whole numbers k from -most to most, in their order; 0 for 0.
class CodePowers {
 public:
  CodePowers(float most, float p);
  const float* at(float code) const { return powers_.data() + static_cast<int64_t>(code + most_); }

 private:
  float most_;
  std::vector<float> powers_;  ///< and a vector more
};

/// The shifts of a sorted row, counted without looking at all of them: numbers of the same code
/// stand side by side, and so do those of them that shift farther than an edge.
class RowShifts {
 public:
  /// @param powers  stays where it is.
  RowShifts(const SortedRow& row, const CodePowers& powers, const CodePlaces& places)
      : row_(row), powers_(&powers), places_(places) {}
  /// Those of the next round, before anything is asked. What numbers of the same codes add up to
  /// is kept.
  void set_codes(const RowCodes& codes);
  double error() const { return error_; }  ///< sum |x - value|
  int64_t usable() const { return usable_; }
  /// How many shifts are above the edges.
  CountPair above(const EdgePair& edges, const Shrinkage& by) const;

 private:
  void add_up();

  SortedRow row_;
  RowCodes codes_{0, 0, -1};  ///< none yet
  const CodePowers* powers_;
  CodePlaces places_;
  double sums_ = 0, products_ = 0, error_ = 0;  ///< the error: 2 sums + products * scale
  int64_t usable_ = 0;
};

/// The median shift of a row, read off the counts beside a window's ends; NaN when none is usable.
/// @param center  where the last round found it
/// @param width   half of the first window; becomes what the next round does well to begin with
double median_shift(const RowShifts& shifts, const Shrinkage& by, double center, float& width);

/// What a round found in a row of few elements.
struct ShortRound {
  RowCodes codes{0, 0, -1};
  double beta = 0, shift = std::numeric_limits<double>::quiet_NaN();  ///< the median, NaN of none
  double error = 0;                                                   ///< sum |x - value|
  float least = 0;  ///< the least u^(p-1) / |code|, u the size of an error
  float reach = 0;  ///< how far from the median the next one is looked for

  /// Whether a round of these codes by `next` moves the scale to the same bits: for sure where it
  /// says so. The shifts of equal codes keep their signs and only come closer to zero as beta
  /// grows. So the median stays where it is when |shift| is less than all u^(p-1) / |code| / beta,
  /// as then who is farther from zero is a matter of u / |code| alone. And a median that was too
  /// small to move the scale becomes no larger.
  bool answers(const RowCodes& codes, double next) const;
};

/// Memory for the shifts and the codes of a row of few elements.
class ShortRoom {
 public:
  std::array<float*, 2> of(int64_t count);

 private:
  std::vector<float> room_;
};

/// A round of a row of few elements, by all shifts.
ShortRound round_of_all_shifts(const float* x, int64_t count, const RowCodes& codes,
                               const Shrinkage& by, ShortRoom& room);
/// The same bits, by those near the median of the last round; by all where it is not there.
ShortRound short_round(const float* x, int64_t count, const RowCodes& codes, const Shrinkage& by,
                       const ShortRound& last, ShortRoom& room);

}  // namespace laconic::kernel
