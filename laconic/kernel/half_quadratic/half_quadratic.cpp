#include "laconic/kernel/half_quadratic/half_quadratic.h"

#include <ATen/ops/empty.h>
#include <hwy/contrib/sort/vqsort.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "laconic/kernel/parallel.h"

namespace laconic::kernel {
namespace {

constexpr int64_t kShortRow = 256;  // elements; of fewer all shifts are found
constexpr int64_t kGrain = 32768;   // elements for a thread at least

const float* numbers(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<float>() : nullptr;
}

/// Half of the first window.
float first_width(float scale, const Shrinkage& by) {
  const double step = static_cast<double>(scale) / 4;
  return static_cast<float>(std::min(step, std::pow(step, by.p - 1.0) / by.beta) / 2);
}

/// |x| or the minimum if that is more, with the sign of x.
float at_least(float x, float minimum) {
  const float size = std::max(std::abs(x), minimum);
  return x >= 0 ? size : -size;
}

}  // namespace

float FreeScales::of_median(float median) const {
  const float statistic = at_least(median, minimum) * threshold;
  return at_least(statistic, minimum) / threshold;
}

HalfQuadraticSearch::HalfQuadraticSearch(const at::Tensor& rows, float q_min, float q_max, double p)
    : rows_(rows.size(0)),
      count_(rows.size(1)),
      q_min_(q_min),
      q_max_(q_max),
      p_(static_cast<float>(p)),
      x_(rows),
      powers_(std::max({q_max - q_min, std::abs(q_min), std::abs(q_max)}), p_),
      shift_(static_cast<size_t>(rows_), 0.0F),
      width_(static_cast<size_t>(rows_), 0.0F) {
  if (count_ < kShortRow) {
    last_.resize(static_cast<size_t>(rows_));
    return;
  }
  x_ = at::empty({rows_, count_ + 2}, rows.options());
  sums_ = at::empty({rows_, count_ + 1}, rows.options().dtype(c10::ScalarType::Double));
  places_ = RowPlaces(rows_, static_cast<int64_t>(q_max - q_min) + 1);
  parallel_for(0, rows_, std::max<int64_t>(1, kGrain / count_), [&](int64_t first, int64_t last) {
    const hwy::Sorter sorter;
    for (int64_t row = first; row < last; ++row) sort(rows, row, sorter);
  });
}

void HalfQuadraticSearch::sort(const at::Tensor& rows, int64_t row, const hwy::Sorter& sorter) {
  const float* from = rows.const_data_ptr<float>() + row * count_;
  float* x = x_.mutable_data_ptr<float>() + row * (count_ + 2) + 1;
  double* sums = sums_.mutable_data_ptr<double>() + row * (count_ + 1);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  x[-1] = -kInfinity, x[count_] = kInfinity;
  std::copy_n(from, count_, x);
  sorter(x, static_cast<size_t>(count_), hwy::SortAscending());
  sums[0] = 0;
  for (int64_t i = 0; i < count_; ++i) sums[i + 1] = sums[i] + static_cast<double>(x[i]);
}

RowCodes HalfQuadraticSearch::codes_of(float scale, float zero_point) const {
  // Codes of a negative scale are those of the positive one with the other sign.
  const float low = q_min_ - zero_point, high = q_max_ - zero_point;
  return scale < 0 ? RowCodes{-scale, -high, -low} : RowCodes{scale, low, high};
}

template <class Round>
void HalfQuadraticSearch::rounds_of_row(int64_t row, const RoundsOfRows& all, const Round& round) {
  const auto at = static_cast<size_t>(row);
  const int64_t count = all.times.rounds;
  float scale = all.scales[row], zero_point = all.zero_points != nullptr ? all.zero_points[row] : 0;
  double beta = all.times.beta;
  for (int64_t i = 0; i < count; ++i, beta *= all.times.kappa) {
    const auto [shift, error] = round(codes_of(scale, zero_point), Shrinkage{p_, beta});
    shift_[at] = std::isfinite(shift) ? static_cast<float>(shift) : 0.0F;
    scale += scale < 0 ? -shift_[at] : shift_[at];
    all.errors[row * count + i] = error;
    all.medians[i * rows_ + row] = scale;
    if (all.free == nullptr) continue;
    scale = all.free->of_median(scale);
    if (all.range_starts != nullptr)
      zero_point =
          std::clamp(std::nearbyint(-all.range_starts[row] / scale + q_min_), q_min_, q_max_);
  }
}

void HalfQuadraticSearch::rounds_of_short_row(int64_t row, const RoundsOfRows& all,
                                              ShortRoom& room) {
  const float* x = x_.const_data_ptr<float>() + row * count_;
  rounds_of_row(row, all, [&](const RowCodes& codes, const Shrinkage& by) {
    ShortRound& last = last_[static_cast<size_t>(row)];
    if (!last.answers(codes, by.beta)) last = short_round(x, count_, codes, by, last, room);
    return std::pair{last.shift, last.error};
  });
}

void HalfQuadraticSearch::rounds_of_sorted_row(int64_t row, const RoundsOfRows& all) {
  const auto at = static_cast<size_t>(row);
  const SortedRow sorted{x_.const_data_ptr<float>() + row * (count_ + 2) + 1,
                         sums_.const_data_ptr<double>() + row * (count_ + 1), count_};
  RowShifts shifts(sorted, powers_, places_[row]);
  rounds_of_row(row, all, [&](const RowCodes& codes, const Shrinkage& by) {
    shifts.set_codes(codes);
    float& width = width_[at];
    if (!(width > 0) || !std::isfinite(width)) width = first_width(codes.scale, by);
    const double shift = median_shift(shifts, by, static_cast<double>(shift_[at]), width);
    return std::pair{shift, shifts.error()};
  });
}

HalfQuadraticRounds HalfQuadraticSearch::run(const HalfQuadraticStart& start,
                                             const HalfQuadraticTimes& times,
                                             const FreeScales* free) {
  const int64_t count = times.rounds;
  HalfQuadraticRounds found{std::vector<double>(static_cast<size_t>(count), 0.0),
                            at::empty({count, rows_}, x_.options())};
  std::vector<double> errors(static_cast<size_t>(count * rows_));
  const RoundsOfRows all{times,
                         free,
                         numbers(start.scale),
                         numbers(start.zero_point),
                         free != nullptr ? numbers(free->range_start) : nullptr,
                         errors.data(),
                         found.medians.mutable_data_ptr<float>()};
  parallel_for(0, rows_, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, count_)),
               [&](int64_t first, int64_t last) {
                 ShortRoom room;
                 for (int64_t row = first; row < last; ++row)
                   sums_.defined() ? rounds_of_sorted_row(row, all)
                                   : rounds_of_short_row(row, all, room);
               });
  for (int64_t row = 0; row < rows_; ++row)  // in order: the same for any number of threads
    for (int64_t i = 0; i < count; ++i)
      found.errors[static_cast<size_t>(i)] += errors[static_cast<size_t>(row * count + i)];
  return found;
}

}  // namespace laconic::kernel
