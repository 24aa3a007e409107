#pragma once

#include <algorithm>
#include <cstdint>

namespace laconic::kernel {

/// A row in rising order, and sums[i] of its first i numbers. x[-1] and x[count] are the
/// infinities.
struct SortedRow {
  const float* x;
  const double* sums;  ///< count + 1
  int64_t count;

  /// How many numbers are below the edge, in a few steps if `near` is not far.
  int64_t below(float edge, int64_t near) const {
    int64_t low = near, high = near;
    for (int64_t step = 1; high < count && x[high] < edge; step *= 2) {
      low = high + 1;
      high = std::min(count, high + step);
    }
    for (int64_t step = 1; low > 0 && !(x[low - 1] < edge); step *= 2) {
      high = low - 1;
      low = std::max<int64_t>(0, low - step);
    }
    return low == high ? low : std::lower_bound(x + low, x + high, edge) - x;
  }
};

/// How many numbers of a sorted row are below edges, one for each code of a quantizer, kept from
/// one round to the next together with the numbers beside them: an edge that passes none is not
/// looked for. Memory of others.
struct EdgePlaces {
  int32_t* place;    ///< place[-1] is 0
  float* last;       ///< x[place - 1]
  float* following;  ///< x[place]

  static constexpr int64_t kVector = 16;  ///< codes, and of any instruction set
  /// Numbers that each of the three needs: before the first code there is a vector of others.
  static constexpr int64_t room(int64_t codes) {
    return (codes + kVector - 1) / kVector * kVector + kVector;
  }
  void move(const SortedRow& row, int64_t code, float edge) const {
    const int64_t found = row.below(edge, place[code]);
    place[code] = static_cast<int32_t>(found);
    last[code] = row.x[found - 1], following[code] = row.x[found];
  }
};

}  // namespace laconic::kernel
