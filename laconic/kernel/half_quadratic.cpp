#include "laconic/kernel/half_quadratic.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/half_quadratic.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#ifndef LACONIC_KERNEL_HALF_QUADRATIC_ONCE
#define LACONIC_KERNEL_HALF_QUADRATIC_ONCE
namespace laconic::kernel {

/// One row, and the window of |shift| that is looked at: (low, high], on one side of zero.
struct ShiftWindow {
  float scale, zero_point, q_min, q_max;
  bool is_negative;
  float low, high;
  float low_power, high_power;  ///< (low * beta)^(1 / (p - 1)), likewise
  const float* powers;          ///< k^(1 / (p - 1)) by whole k
};
struct WindowCounts {
  double error = 0;  ///< sum |x - value|
  int64_t usable = 0, over_low = 0, over_high = 0;
  int64_t inside = 0;  ///< written to `sizes` and `codes`
};

}  // namespace laconic::kernel
#endif

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// @param sizes, codes  room for `count` and a vector more: |error| and |code - zero point| of the
///                      elements inside of the window.
WindowCounts count_window(const float* HWY_RESTRICT x, int64_t count, const ShiftWindow& window,
                          float* HWY_RESTRICT sizes, float* HWY_RESTRICT codes) {
  WindowCounts found;
  const auto work = [&](auto d, int64_t i) HWY_ATTR {
    const hn::RebindToSigned<decltype(d)> whole;
    const auto scale = hn::Set(d, window.scale), zero = hn::Set(d, window.zero_point);
    const auto in = hn::LoadU(d, x + i);
    auto code = hn::Round(hn::Add(hn::Div(in, scale), zero));
    code = hn::Max(hn::Min(code, hn::Set(d, window.q_max)), hn::Set(d, window.q_min));
    code = hn::Sub(code, zero);
    const auto error = hn::Sub(in, hn::Mul(code, scale));
    const auto size = hn::Abs(error), steps = hn::Abs(code);
    const auto usable = hn::Gt(steps, hn::Zero(d));
    const auto sign = hn::Xor(hn::Xor(error, code), hn::Set(d, window.is_negative ? -0.0f : 0.0f));
    const auto below = hn::RebindMask(d, hn::Lt(hn::BitCast(whole, sign), hn::Zero(whole)));
    const auto side = hn::AndNot(below, usable);
    const auto power = hn::GatherIndex(d, window.powers, hn::ConvertTo(whole, steps));
    const auto over = [&](float edge, float edge_power) HWY_ATTR {
      return hn::And(side, hn::And(hn::Gt(size, hn::Mul(steps, hn::Set(d, edge))),
                                   hn::Lt(size, hn::Mul(power, hn::Set(d, edge_power)))));
    };
    const auto over_low = over(window.low, window.low_power);
    const auto over_high = over(window.high, window.high_power);
    found.usable += static_cast<int64_t>(hn::CountTrue(d, usable));
    found.over_low += static_cast<int64_t>(hn::CountTrue(d, over_low));
    found.over_high += static_cast<int64_t>(hn::CountTrue(d, over_high));
    const auto inside = hn::AndNot(over_high, over_low);
    if (!hn::AllFalse(d, inside)) {
      hn::CompressStore(steps, inside, d, codes + found.inside);
      found.inside +=
          static_cast<int64_t>(hn::CompressStore(size, inside, d, sizes + found.inside));
    }
    return size;
  };
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  constexpr int64_t kPart = 4096;  // few enough terms for a float sum
  int64_t i = 0;
  while (i + lanes <= count) {
    auto sum = hn::Zero(d);
    const int64_t end = std::min(count, i + kPart);
    for (; i + lanes <= end; i += lanes) sum = hn::Add(sum, work(d, i));
    found.error += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  const hn::CappedTag<float, 1> one;
  for (; i < count; ++i) found.error += static_cast<double>(hn::GetLane(work(one, i)));
  return found;
}

/// sizes[i] = min(u, u^(p-1) / beta) / code.
void shift_sizes(float* HWY_RESTRICT sizes, const float* HWY_RESTRICT codes, int64_t count, float p,
                 float inverse_beta) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  // Rounds up to whole vectors: the caller has room.
  for (int64_t i = 0; i < count; i += lanes) {
    const auto u = hn::LoadU(d, sizes + i);
    const auto safe = hn::Max(u, hn::Set(d, 1e-37f));  // of denormals there is no logarithm
    const auto power = hn::Exp(d, hn::Mul(hn::Log(d, safe), hn::Set(d, p - 1)));
    const auto shrunk = hn::Min(u, hn::Mul(power, hn::Set(d, inverse_beta)));
    hn::StoreU(hn::Div(shrunk, hn::LoadU(d, codes + i)), d, sizes + i);
  }
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(count_window);
HWY_EXPORT(shift_sizes);

constexpr int64_t kRoom = 64;  // a vector and more

/// What all rows of a round share.
struct Round {
  float q_min, q_max, p, inverse_beta;
  double beta;
  const std::vector<float>& powers;
};

/// Memory of one thread.
struct Room {
  std::vector<float> sizes, codes;
  explicit Room(int64_t count)
      : sizes(static_cast<size_t>(count + kRoom), 1.0f), codes(sizes.size(), 1.0f) {}
};

struct Row {
  const float* x;
  int64_t count;
  float scale, zero_point;
};

ShiftWindow window_of(const Round& round, const Row& row, double low, double high,
                      bool is_negative) {
  const auto power = [&](double edge) {
    return edge > 0 ? static_cast<float>(std::pow(edge * round.beta, 1 / (round.p - 1.0)))
                    : std::numeric_limits<float>::infinity();
  };
  return {.scale = row.scale,
          .zero_point = row.zero_point,
          .q_min = round.q_min,
          .q_max = round.q_max,
          .is_negative = is_negative,
          .low = static_cast<float>(low),
          .high = static_cast<float>(high),
          .low_power = power(low),
          .high_power = power(high),
          .powers = round.powers.data()};
}

/// The place-th largest of the |shifts| in the room.
float largest(const Round& round, Room& room, int64_t count, int64_t place) {
  HWY_DYNAMIC_DISPATCH(shift_sizes)
  (room.sizes.data(), room.codes.data(), count, round.p, round.inverse_beta);
  const auto begin = room.sizes.begin();
  std::nth_element(begin, begin + place, begin + count, std::greater<>());
  return room.sizes[static_cast<size_t>(place)];
}

/// The median of all shifts: those over zero are looked at first, then those under it.
float median_of_all(const Round& round, const Row& row, Room& room, double* error) {
  for (const bool is_negative : {false, true}) {
    const double most = std::numeric_limits<float>::infinity();
    ShiftWindow window = window_of(round, row, 0, most, is_negative);
    window.high_power = 0;  // nothing lies over infinity
    const WindowCounts found = HWY_DYNAMIC_DISPATCH(count_window)(
        row.x, row.count, window, room.sizes.data(), room.codes.data());
    *error = found.error;
    if (found.usable == 0) return std::numeric_limits<float>::quiet_NaN();
    const int64_t lower = (found.usable - 1) / 2;
    const int64_t place = is_negative ? lower : found.usable - 1 - lower;
    if (place < found.inside)
      return (is_negative ? -1.0f : 1.0f) * largest(round, room, found.inside, place);
  }
  return 0;
}

/// Updates `shift` and `width`; gives the sum of |error|.
double round_of_row(const Round& round, const Row& row, Room& room, float& shift, float& width) {
  double error = 0;
  const float last = shift;
  if (last != 0 && std::isfinite(last)) {
    const double size = std::abs(static_cast<double>(last));
    const ShiftWindow window =
        window_of(round, row, size * (1 - width), size * (1 + width), std::signbit(last));
    const WindowCounts found = HWY_DYNAMIC_DISPATCH(count_window)(
        row.x, row.count, window, room.sizes.data(), room.codes.data());
    const int64_t lower = (found.usable - 1) / 2;
    const int64_t place = (window.is_negative ? lower : found.usable - 1 - lower) - found.over_high;
    const bool is_hit = found.usable > 0 && place >= 0 && place < found.inside;
    if (is_hit) {
      constexpr int64_t kMost = 48, kLeast = 16;
      if (found.inside > kMost) width *= 0.7f;
      if (found.inside < kLeast) width = std::min(0.5f, width * 1.3f);
      const float median = largest(round, room, found.inside, place);
      shift = window.is_negative ? -median : median;
      return found.error;
    }
    width = std::min(0.5f, width * 2);
  }
  shift = median_of_all(round, row, room, &error);
  return error;
}

std::vector<float> powers_of(float q_min, float q_max, float p) {
  const auto most = static_cast<int64_t>(std::max(std::abs(q_min), q_max) + (q_max - q_min));
  std::vector<float> powers(static_cast<size_t>(most) + 1, 0.0f);
  for (size_t k = 1; k < powers.size(); ++k)
    powers[k] = static_cast<float>(std::pow(static_cast<double>(k), 1 / (p - 1.0)));
  return powers;
}

}  // namespace

double half_quadratic_round(const at::Tensor& x, HalfQuadraticState& state, double beta) {
  const int64_t rows = x.size(0), count = x.size(1);
  const std::vector<float> powers = powers_of(state.q_min, state.q_max, state.p);
  const Round round{state.q_min, state.q_max, state.p, static_cast<float>(1 / beta), beta, powers};
  const float* in = x.const_data_ptr<float>();
  const float* scale = state.scale.const_data_ptr<float>();
  const float* zero =
      state.zero_point.defined() ? state.zero_point.const_data_ptr<float>() : nullptr;
  float* shift = state.shift.mutable_data_ptr<float>();
  float* width = state.width.mutable_data_ptr<float>();
  std::vector<double> errors(static_cast<size_t>(rows), 0.0);
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, count));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    Room room(count);
    for (int64_t i = begin; i < end; ++i) {
      const Row row{in + i * count, count, scale[i], zero != nullptr ? zero[i] : 0.0f};
      errors[static_cast<size_t>(i)] = round_of_row(round, row, room, shift[i], width[i]);
    }
  });
  double sum = 0;
  for (const double error : errors) sum += error;  // in order: the same for any number of threads
  return sum;
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
