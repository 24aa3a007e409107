#include <algorithm>
#include <cmath>
#include <limits>

#include "laconic/kernel/half_quadratic/shifts.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/half_quadratic/short_row.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#ifndef LACONIC_KERNEL_HALF_QUADRATIC_SHORT_ROW_ONCE
#define LACONIC_KERNEL_HALF_QUADRATIC_SHORT_ROW_ONCE
namespace laconic::kernel {

struct ShortRow {
  const float* x;
  int64_t count;
  RowCodes codes;
};
struct FoundShifts {
  double error = 0;  ///< sum |x - value|
  int64_t usable = 0;
  float least = 0;  ///< of their u^(p-1) / |code|
};

/// Two numbers around the last median.
struct ShortWindow {
  float low, high;
};
/// What lies in a window, and the median if it does: NaN if not.
struct WindowShifts {
  FoundShifts all;
  int64_t inside = 0;  ///< or may be
  float median = std::numeric_limits<float>::quiet_NaN();
};

using LaneTable = std::array<std::array<uint8_t, 8>, 256>;
constexpr LaneTable first_lanes() {
  LaneTable table{};
  for (size_t bits = 0; bits < table.size(); ++bits)
    for (size_t lane = 0, at = 0; lane < 8; ++lane)
      if ((bits >> lane & 1) != 0) table[bits][at++] = static_cast<uint8_t>(lane);
  return table;
}
/// Which of eight lanes the bits of a mask name, in order.
inline constexpr LaneTable kFirstLanes = first_lanes();

/// The lower of two.
constexpr int64_t middle_of(int64_t count) { return (count - 1) / 2; }

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
HWY_INLINE CodesAndErrors codes_and_errors(Vector x, const RowCodes& codes) {
  const Floats d;
  const auto nearest = hn::Round(hn::Mul(x, hn::Set(d, 1 / codes.scale)));
  const auto code = hn::Max(hn::Min(nearest, hn::Set(d, codes.high)), hn::Set(d, codes.low));
  return {code, hn::NegMulAdd(code, hn::Set(d, codes.scale), x)};
}

/// The lanes of a mask first, in order, then others of no meaning.
HWY_INLINE Vector compressed(Vector x, hn::Mask<Floats> ones) {
#if HWY_TARGET == HWY_AVX2
  // The table of Highway's own is copied to the stack by some compilers at each use.
  const hn::RebindToSigned<Floats> whole;
  const hn::Rebind<uint8_t, Floats> bytes;
  uint8_t bits[8] = {};
  hn::StoreMaskBits(Floats(), ones, bits);
  const auto lanes = hn::PromoteTo(whole, hn::LoadU(bytes, kFirstLanes[bits[0]].data()));
  return hn::TableLookupLanes(x, hn::IndicesFromVec(Floats(), lanes));
#else
  return hn::Compress(x, ones);
#endif
}

/// Writes those of the mask and lanes of no meaning after them. @returns  how many.
HWY_INLINE int64_t append(Vector error, Vector code, hn::Mask<Floats> ones,
                          float* HWY_RESTRICT errors, float* HWY_RESTRICT codes) {
  const Floats d;
  hn::StoreU(compressed(error, ones), d, errors);
  hn::StoreU(compressed(code, ones), d, codes);
  return static_cast<int64_t>(hn::CountTrue(d, ones));
}

/// The shifts of errors, in their place, by codes. @returns  the least u^(p-1) / |code|.
float shifts_of_errors(int64_t count, const Shrinkage& by, float* HWY_RESTRICT shifts,
                       const float* HWY_RESTRICT codes) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto inverse_beta = hn::Set(d, static_cast<float>(1 / by.beta));
  const auto infinite = hn::Inf(d);
  auto least = infinite;
  for (int64_t i = 0; i < count; i += lanes) {
    const auto error = hn::LoadU(d, shifts + i), code = hn::LoadU(d, codes + i);
    const auto size = hn::Abs(error);
    const auto safe = hn::Max(size, hn::Set(d, 1e-37F));  // of denormals there is no logarithm
    const auto power = hn::Exp(d, hn::Mul(hn::Log(d, safe), hn::Set(d, by.p - 1)));
    const auto is_one = hn::FirstN(d, static_cast<size_t>(count - i));
    least = hn::Min(least, hn::IfThenElse(is_one, hn::Div(power, hn::Abs(code)), infinite));
    const auto kept = hn::Min(size, hn::Mul(power, inverse_beta));
    hn::StoreU(hn::Div(hn::CopySign(kept, error), code), d, shifts + i);
  }
  return hn::GetLane(hn::MinOfLanes(d, least));
}

/// All shifts of a row. @param shifts, codes  room for a vector more than the row has elements.
FoundShifts write_shifts(const ShortRow& row, const Shrinkage& by, float* HWY_RESTRICT shifts,
                         float* HWY_RESTRICT codes) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  FoundShifts found;
  auto errors = hn::Zero(d);
  for (int64_t i = 0; i < row.count; i += lanes) {
    const bool is_whole = i + lanes <= row.count;
    const auto [code, error] = codes_and_errors(
        is_whole ? hn::LoadU(d, row.x + i) : load_rest(row.x + i, row.count - i), row.codes);
    errors = hn::Add(errors, hn::Abs(error));
    const auto usable = hn::Gt(hn::Abs(code), hn::Zero(d));
    found.usable += append(error, code, usable, shifts + found.usable, codes + found.usable);
  }
  found.error = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, errors)));
  found.least = shifts_of_errors(found.usable, by, shifts, codes);
  return found;
}

/// Edges around the last median, as far apart as shifts of so many powers' last places may be off.
struct LooseEdges {
  Vector low, high;
};
HWY_INLINE LooseEdges loose_edges(const ShortWindow& window) {
  constexpr float kPart = 0.01F, kLeast = 1e-35F;  // of estimates, and of denormals
  const auto loose = [](float edge) { return std::abs(edge) * kPart + kLeast; };
  const Floats d;
  return {hn::Set(d, window.low - loose(window.low)), hn::Set(d, window.high + loose(window.high))};
}

/// u^(p-1) / beta within a part of 0.001: the logarithm is a float's exponent and digits with a
/// curve between, and back.
HWY_INLINE Vector estimated_power(Vector u, const Shrinkage& by) {
  const Floats d;
  const hn::RebindToSigned<Floats> whole;
  const auto one = hn::Set(d, 1.0F), scaled = hn::Set(d, 8388608.0F);  // 2^23: an exponent's one
  const auto bits = hn::BitCast(whole, hn::Max(u, hn::Set(d, 1e-37F)));
  const auto digits = hn::And(bits, hn::Set(whole, 0x007FFFFF));
  const auto f = hn::Sub(hn::BitCast(d, hn::Or(digits, hn::BitCast(whole, one))), one);
  const auto bulge = [&](Vector at, float first, float second) HWY_ATTR {
    const auto slope = hn::MulAdd(at, hn::Set(d, second), hn::Set(d, first));
    return hn::Mul(hn::NegMulAdd(at, at, at), slope);
  };
  const auto log = hn::MulAdd(hn::ConvertTo(d, bits), hn::Set(d, 1 / 8388608.0F),
                              bulge(f, 0.42286532F, -0.1592201F));
  const float first = 127 - static_cast<float>(std::log2(by.beta)) - 127 * (by.p - 1);
  auto power = hn::MulAdd(log, hn::Set(d, by.p - 1), hn::Set(d, first));
  power = hn::Min(hn::Max(power, one), hn::Set(d, 254.0F));
  const auto part = hn::Sub(power, hn::Floor(power));
  power = hn::Sub(power, bulge(part, 0.30410988F, 0.07924493F));
  return hn::BitCast(d, hn::ConvertTo(whole, hn::Mul(power, scaled)));
}

/// The number that `place` others of few are not above in a row of `count`.
HWY_INLINE float number_at(float* HWY_RESTRICT numbers, int64_t count, int64_t place) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::StoreU(hn::Inf(d), d, numbers + count);
  for (int64_t i = 0; i < count; ++i) {
    const auto one = hn::Set(d, numbers[i]);
    int64_t below = 0, up_to = 0;
    for (int64_t j = 0; j < count; j += lanes) {
      const auto others = hn::LoadU(d, numbers + j);
      below += static_cast<int64_t>(hn::CountTrue(d, hn::Lt(others, one)));
      up_to += static_cast<int64_t>(hn::CountTrue(d, hn::Le(others, one)));
    }
    if (below <= place && place < up_to) return numbers[i];
  }
  return std::numeric_limits<float>::quiet_NaN();
}

/// Shifts inside of the window alone, and those that may be; the others are counted.
WindowShifts find_in_window(const ShortRow& row, const Shrinkage& by, const ShortWindow& window,
                            float* HWY_RESTRICT shifts, float* HWY_RESTRICT codes) {
  const Floats d;
  const hn::RebindToSigned<Floats> whole;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto [low, high] = loose_edges(window);
  const auto signs = hn::SignBit(d);
  auto errors = hn::Zero(d), least = hn::Inf(d);
  auto usable_ones = hn::Zero(whole), below_ones = usable_ones;  // -1 for each
  WindowShifts found;
  for (int64_t i = 0; i < row.count; i += lanes) {
    const auto [code, error] = codes_and_errors(
        i + lanes <= row.count ? hn::LoadU(d, row.x + i) : load_rest(row.x + i, row.count - i),
        row.codes);
    const auto size = hn::Abs(error);
    errors = hn::Add(errors, size);
    const auto inverse = hn::ApproximateReciprocal(hn::Abs(code));
    const auto power = estimated_power(size, by);
    least = hn::Min(least, hn::Mul(power, inverse));
    const auto shift =
        hn::Xor(hn::Mul(hn::Min(size, power), inverse), hn::And(signs, hn::Xor(code, error)));
    const auto usable = hn::Gt(hn::Abs(code), hn::Zero(d));
    const auto below = hn::And(usable, hn::Lt(shift, low));
    const auto inside = hn::AndNot(hn::Or(below, hn::Gt(shift, high)), usable);
    usable_ones = hn::Add(usable_ones, hn::BitCast(whole, hn::VecFromMask(d, usable)));
    below_ones = hn::Add(below_ones, hn::BitCast(whole, hn::VecFromMask(d, below)));
    found.inside += append(error, code, inside, shifts + found.inside, codes + found.inside);
  }
  found.all.error = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, errors)));
  found.all.usable = -hn::GetLane(hn::SumOfLanes(whole, usable_ones));
  const float quotient = hn::GetLane(hn::MinOfLanes(d, least));
  found.all.least = quotient > 1e-35F ? quotient * static_cast<float>(by.beta) : 0;
  const int64_t place =
      middle_of(found.all.usable) + hn::GetLane(hn::SumOfLanes(whole, below_ones));
  if (place < 0 || place >= found.inside) return found;
  shifts_of_errors(found.inside, by, shifts, codes);
  found.median = number_at(shifts, found.inside, place);
  return found;
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(write_shifts);
HWY_EXPORT(find_in_window);

/// How many shifts a window does well to hold.
int64_t window_share(int64_t usable) { return std::max<int64_t>(6, usable / 16); }

}  // namespace

std::array<float*, 2> ShortRoom::of(int64_t count) {
  constexpr int64_t kVector = 64;  // elements, and more
  const auto all = static_cast<size_t>(count + kVector);
  if (room_.size() < 2 * all) room_.resize(2 * all, 1.0F);
  return {room_.data(), room_.data() + all};
}

bool ShortRound::answers(const RowCodes& others, double next) const {
  if (!(codes == others) || next < beta) return false;
  if (std::isnan(shift)) return true;
  constexpr double kLess = 0.97;  // powers and quotients may be estimates
  const auto moved = codes.scale + static_cast<float>(shift);
  return std::abs(shift) * next < kLess * static_cast<double>(least) || moved == codes.scale;
}

ShortRound round_of_all_shifts(const float* x, int64_t count, const RowCodes& codes,
                               const Shrinkage& by, ShortRoom& room) {
  const auto [shifts, kept] = room.of(count);
  const FoundShifts found = HWY_DYNAMIC_DISPATCH(write_shifts)({x, count, codes}, by, shifts, kept);
  ShortRound round{.codes = codes, .beta = by.beta, .error = found.error, .least = found.least};
  if (found.usable == 0) return round;
  float *middle = shifts + middle_of(found.usable), *end = shifts + found.usable;
  std::nth_element(shifts, middle, end);
  round.shift = static_cast<double>(*middle);
  float* edge = std::min(middle + window_share(found.usable) / 2, end - 1);
  std::nth_element(middle, edge, end);
  round.reach = *edge - static_cast<float>(round.shift);
  return round;
}

ShortRound short_round(const float* x, int64_t count, const RowCodes& codes, const Shrinkage& by,
                       const ShortRound& last, ShortRoom& room) {
  constexpr double kMostBeta = 1e30;  // of others, powers may be no floats
  constexpr int kLooks = 3;
  const bool is_near = std::isfinite(last.shift) && std::isfinite(last.reach) &&
                       by.beta < kMostBeta && by.beta * kMostBeta > 1;
  const auto center = static_cast<float>(last.shift);
  const auto [shifts, kept] = room.of(count);
  float reach = last.reach;
  for (int look = 0; is_near && look < kLooks; ++look, reach *= 4) {
    const auto found = HWY_DYNAMIC_DISPATCH(find_in_window)(
        {x, count, codes}, by, {center - reach, center + reach}, shifts, kept);
    if (!std::isfinite(found.all.error) || found.all.usable == 0) break;
    if (std::isnan(found.median)) continue;
    const auto more =
        static_cast<float>(window_share(found.all.usable)) / static_cast<float>(found.inside);
    return {codes,           by.beta,         static_cast<double>(found.median),
            found.all.error, found.all.least, reach * std::clamp(more, 0.5F, 2.0F)};
  }
  return round_of_all_shifts(x, count, codes, by, room);
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
