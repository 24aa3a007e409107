#include "laconic/optimize/schedule.h"

#include <algorithm>

namespace laconic::optimize {

double LinearDecay::at(int64_t step) const {
  const double first = warmup * static_cast<double>(steps);
  const double now = static_cast<double>(step);
  if (now < first) return start;
  const double done = (now - first) / (static_cast<double>(steps) - first);
  return end + (start - end) * std::max(0.0, 1 - done);
}

}  // namespace laconic::optimize
