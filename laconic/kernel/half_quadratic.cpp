#include "laconic/kernel/half_quadratic.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
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

/// Elements of one scale, and their codes less the zero point: from `low` to `high`.
struct ScaledRow {
  const float* x;
  int64_t count;
  float scale, low, high;
};

/// A number that shifts are compared with: those of its sign that are farther from zero are
/// counted. `power`: (size * beta)^(1 / (p - 1)).
struct ShiftEdge {
  float size, power;
  bool is_negative;
};
struct ShiftCounts {
  double error = 0;  ///< sum |x - value|
  int64_t usable = 0, first = 0, second = 0;
};

/// What a round shares: powers[k] is k^(1 / (p - 1)) and 0 for k = 0, a vector at least.
struct Shrinkage {
  float p, inverse_beta;
  double beta;
  std::vector<float> powers;
};

}  // namespace laconic::kernel
#endif

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

/// Fewer elements than a vector has, and zeros.
HWY_INLINE Vector load_rest(const float* x, int64_t count) {
  HWY_ALIGN float rest[hn::MaxLanes(Floats())] = {};
  std::copy_n(x, count, rest);
  return hn::Load(Floats(), rest);
}

/// Code less zero point, and error, of elements.
struct CodesAndErrors {
  Vector code, error;
};
HWY_INLINE CodesAndErrors codes_and_errors(Vector x, const ScaledRow& row) {
  const Floats d;
  const auto nearest = hn::Round(hn::Mul(x, hn::Set(d, 1 / row.scale)));
  const auto code = hn::Max(hn::Min(nearest, hn::Set(d, row.high)), hn::Set(d, row.low));
  return {code, hn::NegMulAdd(code, hn::Set(d, row.scale), x)};
}

/// Counts of up to 2^14 elements, few enough for sums in float. kInVector: a vector holds all
/// powers.
template <bool kInVector>
struct RowCounts {
  const ScaledRow& row;
  const ShiftEdge &first, &second;
  const float* powers;
  Vector usable = hn::Zero(Floats()), over_first = usable, over_second = usable, errors = usable;

  HWY_INLINE Vector power_of(Vector size) const {
    const Floats d;
    const hn::RebindToSigned<Floats> whole;
    // Whole numbers in the lowest bits.
    const auto bits = hn::BitCast(whole, hn::Add(size, hn::Set(d, 0x1p23F)));
    const auto index = hn::And(bits, hn::Set(whole, kInVector ? 15 : 0xFFFF));
    if constexpr (kInVector)
      return hn::TableLookupLanes(hn::LoadU(d, powers), hn::IndicesFromVec(d, index));
    else
      return hn::GatherIndex(d, powers, index);
  }
  /// 1 where the shift is on the edge's side of zero and farther. `toward`: the error with the sign
  /// of the shift.
  HWY_INLINE Vector is_over(const ShiftEdge& edge, Vector toward, Vector size, Vector power) const {
    const Floats d;
    const auto step = hn::Xor(toward, hn::Set(d, edge.is_negative ? -0.0F : 0.0F));
    const auto is_larger = hn::Gt(step, hn::Mul(size, hn::Set(d, edge.size)));
    const auto is_kept = hn::Lt(step, hn::Mul(power, hn::Set(d, edge.power)));
    return hn::IfThenElseZero(hn::And(is_larger, is_kept), hn::Set(d, 1));
  }
  HWY_INLINE void add(Vector x) {
    const Floats d;
    const auto [code, error] = codes_and_errors(x, row);
    errors = hn::Add(errors, hn::Abs(error));
    const auto size = hn::Abs(code), power = power_of(size);
    usable = hn::Add(usable, hn::IfThenElseZero(hn::Gt(size, hn::Zero(d)), hn::Set(d, 1)));
    const auto toward = hn::Xor(error, hn::And(code, hn::Set(d, -0.0F)));
    over_first = hn::Add(over_first, is_over(first, toward, size, power));
    over_second = hn::Add(over_second, is_over(second, toward, size, power));
  }
  static HWY_INLINE int64_t whole_sum(Vector v) {
    return static_cast<int64_t>(hn::GetLane(hn::SumOfLanes(Floats(), v)));
  }
  HWY_INLINE void move_to(ShiftCounts& total) {
    total.error += static_cast<double>(hn::GetLane(hn::SumOfLanes(Floats(), errors)));
    total.usable += whole_sum(usable);
    total.first += whole_sum(over_first);
    total.second += whole_sum(over_second);
    usable = over_first = over_second = errors = hn::Zero(Floats());
  }
};

template <bool kInVector>
HWY_INLINE ShiftCounts count_row(const ScaledRow& row, const ShiftEdge& first,
                                 const ShiftEdge& second, const float* powers) {
  const Floats d;
  constexpr int64_t kPart = 1 << 14;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  RowCounts<kInVector> counts{row, first, second, powers};
  ShiftCounts total;
  for (int64_t begin = 0; begin < row.count; begin += kPart) {
    const int64_t end = std::min(row.count, begin + kPart);
    int64_t i = begin;
    for (; i + lanes <= end; i += lanes) counts.add(hn::LoadU(d, row.x + i));
    if (i < end) counts.add(load_rest(row.x + i, end - i));
    counts.move_to(total);
  }
  return total;
}

ShiftCounts count_over(const ScaledRow& row, const ShiftEdge& first, const ShiftEdge& second,
                       const Shrinkage& by) {
  constexpr size_t kInVector = hn::MaxLanes(Floats());
  return by.powers.size() <= kInVector && kInVector > 1
             ? count_row<true>(row, first, second, by.powers.data())
             : count_row<false>(row, first, second, by.powers.data());
}

/// All shifts of a row. @param shifts, codes  room for a vector more than the row has elements.
ShiftCounts write_shifts(const ScaledRow& row, const Shrinkage& by, float* HWY_RESTRICT shifts,
                         float* HWY_RESTRICT codes) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  ShiftCounts found;
  auto errors = hn::Zero(d);
  for (int64_t i = 0; i < row.count; i += lanes) {
    const bool is_whole = i + lanes <= row.count;
    const auto [code, error] = codes_and_errors(
        is_whole ? hn::LoadU(d, row.x + i) : load_rest(row.x + i, row.count - i), row);
    errors = hn::Add(errors, hn::Abs(error));
    const auto usable = hn::Gt(hn::Abs(code), hn::Zero(d));
    hn::CompressStore(error, usable, d, shifts + found.usable);
    found.usable += static_cast<int64_t>(hn::CompressStore(code, usable, d, codes + found.usable));
  }
  found.error = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, errors)));
  for (int64_t i = 0; i < found.usable; i += lanes) {
    const auto error = hn::LoadU(d, shifts + i), code = hn::LoadU(d, codes + i);
    const auto size = hn::Abs(error);
    const auto safe = hn::Max(size, hn::Set(d, 1e-37F));  // of denormals there is no logarithm
    const auto power = hn::Exp(d, hn::Mul(hn::Log(d, safe), hn::Set(d, by.p - 1)));
    const auto kept = hn::Min(size, hn::Mul(power, hn::Set(d, by.inverse_beta)));
    hn::StoreU(hn::Div(hn::CopySign(kept, error), code), d, shifts + i);
  }
  return found;
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(count_over);
HWY_EXPORT(write_shifts);

constexpr int64_t kShortRow = 256;  // elements; of fewer all shifts are found
constexpr int64_t kRoom = 64;       // a vector and more
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double power_of_edge(const Shrinkage& by, double size) {
  return size > 0 ? std::pow(static_cast<float>(size * by.beta), 1 / (by.p - 1))
                  : std::numeric_limits<float>::infinity();
}
ShiftEdge edge_at(const Shrinkage& by, double shift) {
  return {static_cast<float>(std::abs(shift)),
          static_cast<float>(power_of_edge(by, std::abs(shift))), shift < 0};
}

/// How many shifts are above the edge.
int64_t above(const ShiftEdge& edge, int64_t counted, int64_t usable) {
  return edge.is_negative ? usable - counted : counted;
}

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
  MedianSearch(const ScaledRow& row, const Shrinkage& by) : row_(row), by_(by) {}
  double error() const { return error_; }

  /// @param width  half of the first window; becomes what the next round does well to begin with
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
      if (!look_at(low, high)) return kNone;
    }
    if (!bracket_.is_closed()) return kNone;
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
  /// @returns whether there are shifts at all.
  bool look_at(double low, double high) {
    const ShiftEdge first = edge_at(by_, low), second = edge_at(by_, high);
    const ShiftCounts found = HWY_DYNAMIC_DISPATCH(count_over)(row_, first, second, by_);
    error_ = found.error;
    if (found.usable == 0) return false;
    usable_ = found.usable;
    place_ = usable_ - 1 - (usable_ - 1) / 2;
    bracket_.narrow(low, above(first, found.first, found.usable), place_);
    bracket_.narrow(high, above(second, found.second, found.usable), place_);
    return true;
  }

  const ScaledRow& row_;
  const Shrinkage& by_;
  Bracket bracket_;
  double error_ = 0;
  int64_t usable_ = 0, place_ = 0;  ///< shifts; those above the median
};

/// Memory of one thread.
struct Room {
  std::vector<float> shifts, codes;
  explicit Room(int64_t count)
      : shifts(static_cast<size_t>(count + kRoom), 1.0F), codes(shifts.size(), 1.0F) {}
};

float median_of_all(const ScaledRow& row, const Shrinkage& by, Room& room, double& error) {
  const ShiftCounts found =
      HWY_DYNAMIC_DISPATCH(write_shifts)(row, by, room.shifts.data(), room.codes.data());
  error = found.error;
  if (found.usable == 0) return static_cast<float>(kNone);
  const auto begin = room.shifts.begin(), middle = begin + (found.usable - 1) / 2;
  std::nth_element(begin, middle, begin + found.usable);
  return *middle;
}

/// Updates `shift` and `width`; gives the sum of |error|.
double round_of_row(const ScaledRow& row, const Shrinkage& by, Room& room, float& shift,
                    float& width) {
  double error = 0;
  if (row.count < kShortRow) {
    shift = median_of_all(row, by, room, error);
    return error;
  }
  const double last = std::isfinite(shift) ? static_cast<double>(shift) : 0;
  const double step = std::abs(static_cast<double>(row.scale)) / 4;
  if (!(width > 0) || !std::isfinite(width))
    width = static_cast<float>(std::min(step, std::pow(step, by.p - 1.0) / by.beta) / 2);
  MedianSearch search(row, by);
  shift = static_cast<float>(search.find(last, width));
  return search.error();
}

std::vector<float> powers_of(const HalfQuadraticState& state) {
  constexpr size_t kLeast = 16;  // lanes of the widest vector
  const float largest = state.zero_point.defined() ? state.q_max - state.q_min
                                                   : std::max(std::abs(state.q_min), state.q_max);
  const auto most = static_cast<size_t>(largest);
  std::vector<float> powers(std::max(kLeast, most + 1), 0.0F);
  for (size_t k = 1; k <= most; ++k)
    powers[k] = static_cast<float>(std::pow(static_cast<double>(k), 1 / (state.p - 1.0)));
  return powers;
}

}  // namespace

double half_quadratic_round(const at::Tensor& x, HalfQuadraticState& state, double beta) {
  const int64_t rows = x.size(0), count = x.size(1);
  const Shrinkage by{state.p, static_cast<float>(1 / beta), beta, powers_of(state)};
  const float* in = x.const_data_ptr<float>();
  const float* scale = state.scale.const_data_ptr<float>();
  const float* zero =
      state.zero_point.defined() ? state.zero_point.const_data_ptr<float>() : nullptr;
  float* shift = state.shift.mutable_data_ptr<float>();
  float* width = state.width.mutable_data_ptr<float>();
  std::vector<double> errors(static_cast<size_t>(rows), 0.0);
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, count));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    Room room(std::min(count, kShortRow));
    for (int64_t i = begin; i < end; ++i) {
      const float z = zero != nullptr ? zero[i] : 0;
      const ScaledRow row{in + i * count, count, scale[i], state.q_min - z, state.q_max - z};
      errors[static_cast<size_t>(i)] = round_of_row(row, by, room, shift[i], width[i]);
    }
  });
  double sum = 0;
  for (const double error : errors) sum += error;  // in order: the same for any number of threads
  return sum;
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
