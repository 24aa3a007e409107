#include <algorithm>
#include <cmath>
#include <limits>

#include "laconic/kernel/half_quadratic/shifts.h"

namespace laconic::kernel {
namespace {

/// Two numbers between which the median lies, and how many shifts are above each; infinite: not
/// known yet.
struct Bracket {
  double low = -std::numeric_limits<double>::infinity(), high = -low;
  int64_t above_low = 0, above_high = 0;
  bool is_closed() const { return std::isfinite(low) && std::isfinite(high); }
  int64_t inside() const { return std::max<int64_t>(1, above_low - above_high); }
  /// `count` shifts are above the edge, `place` above the median.
  void narrow(double edge, int64_t count, int64_t place) {
    if (count > place && edge >= low) low = edge, above_low = count;
    if (count <= place && edge <= high) high = edge, above_high = count;
  }
  /// As if what is inside were spread evenly; `place` shifts are above the result.
  double at(double place) const {
    const double part = (static_cast<double>(above_low) - place) / static_cast<double>(inside());
    return low + (high - low) * std::clamp(part, 0.0, 1.0);
  }
};

/// Looks for the median through windows: where the last one was, then farther or closer.
class MedianSearch {
 public:
  MedianSearch(const RowShifts& shifts, const Shrinkage& by)
      : shifts_(shifts),
        by_(by),
        usable_(shifts.usable()),
        place_(usable_ - 1 - (usable_ - 1) / 2) {}

  double find(double center, float& width) {
    constexpr int kMostLooks = 24;
    double low = center - width, high = center + width, reach = width;
    for (int look = 0; look < kMostLooks && !is_found(); ++look) {
      if (look > 0 && bracket_.is_closed()) {
        const double middle = median(), all = bracket_.high - bracket_.low;
        const double half = all * std::max(1.0 / 64, wanted() / 2);
        low = std::max(bracket_.low, middle - half);
        high = std::min(bracket_.high, middle + half);
      } else if (look > 0) {
        reach *= 4;
        const bool is_above = std::isfinite(bracket_.low);
        low = is_above ? bracket_.low : bracket_.high - 2 * reach;
        high = is_above ? low + 2 * reach : bracket_.high;
      }
      const CountPair above = shifts_.above({edge_at(low), edge_at(high)}, by_);
      bracket_.narrow(low, above[0], place_);
      bracket_.narrow(high, above[1], place_);
    }
    if (!bracket_.is_closed()) return std::numeric_limits<double>::quiet_NaN();
    width = static_cast<float>((bracket_.high - bracket_.low) / 2 * std::clamp(wanted(), 0.5, 2.0));
    return median();
  }

 private:
  /// What the median is read off: so few shifts may lie around it.
  int64_t most() const { return std::max<int64_t>(2, usable_ / 16); }
  /// What the bracket's width is to be multiplied by, to hold half of the most that it may.
  double wanted() const {
    return static_cast<double>(most()) / 2 / static_cast<double>(bracket_.inside());
  }
  double median() const { return bracket_.at(static_cast<double>(place_) + 0.5); }
  bool is_found() const {
    const double size = std::max(std::abs(bracket_.low), std::abs(bracket_.high));
    return bracket_.is_closed() &&
           (bracket_.inside() <= most() || bracket_.high - bracket_.low <= size * 1e-5);
  }

  const RowShifts& shifts_;
  const Shrinkage& by_;
  Bracket bracket_;
  int64_t usable_, place_;  ///< shifts; those above the median
};

}  // namespace

double median_shift(const RowShifts& shifts, const Shrinkage& by, double center, float& width) {
  if (shifts.usable() == 0) return std::numeric_limits<double>::quiet_NaN();
  return MedianSearch(shifts, by).find(center, width);
}

}  // namespace laconic::kernel
