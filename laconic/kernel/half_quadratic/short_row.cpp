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
    hn::CompressStore(error, usable, d, shifts + found.usable);
    found.usable += static_cast<int64_t>(hn::CompressStore(code, usable, d, codes + found.usable));
  }
  found.error = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, errors)));
  const auto inverse_beta = hn::Set(d, static_cast<float>(1 / by.beta));
  const auto infinite = hn::Inf(d);
  auto least = infinite;
  for (int64_t i = 0; i < found.usable; i += lanes) {
    const auto error = hn::LoadU(d, shifts + i), code = hn::LoadU(d, codes + i);
    const auto size = hn::Abs(error);
    const auto safe = hn::Max(size, hn::Set(d, 1e-37F));  // of denormals there is no logarithm
    const auto power = hn::Exp(d, hn::Mul(hn::Log(d, safe), hn::Set(d, by.p - 1)));
    const auto is_one = hn::FirstN(d, static_cast<size_t>(found.usable - i));
    least = hn::Min(least, hn::IfThenElse(is_one, hn::Div(power, hn::Abs(code)), infinite));
    const auto kept = hn::Min(size, hn::Mul(power, inverse_beta));
    hn::StoreU(hn::Div(hn::CopySign(kept, error), code), d, shifts + i);
  }
  found.least = hn::GetLane(hn::MinOfLanes(d, least));
  return found;
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(write_shifts);

constexpr int64_t kVector = 64;  // elements, and more

}  // namespace

bool ShortRound::answers(const RowCodes& others, double next) const {
  if (!(codes == others) || next < beta) return false;
  if (std::isnan(shift)) return true;
  constexpr double kLess = 0.99;  // last places of powers and quotients
  const auto moved = codes.scale + static_cast<float>(shift);
  return std::abs(shift) * next < kLess * static_cast<double>(least) || moved == codes.scale;
}

ShortRound round_of_all_shifts(const float* x, int64_t count, const RowCodes& codes,
                               const Shrinkage& by, std::vector<float>& room) {
  const int64_t all = count + kVector;
  if (static_cast<int64_t>(room.size()) < 2 * all) room.resize(static_cast<size_t>(2 * all), 1.0F);
  const FoundShifts found =
      HWY_DYNAMIC_DISPATCH(write_shifts)({x, count, codes}, by, room.data(), room.data() + all);
  ShortRound round{codes, by.beta, std::numeric_limits<double>::quiet_NaN(), found.error,
                   found.least};
  if (found.usable == 0) return round;
  const auto begin = room.begin(), middle = begin + (found.usable - 1) / 2;
  std::nth_element(begin, middle, begin + found.usable);
  round.shift = static_cast<double>(*middle);
  return round;
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
