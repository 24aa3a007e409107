// What elements are given for being extremes. Included once for each instruction set (see Highway's
// foreach_target.h), so the guard below is a toggle and not #pragma once.
#if defined(LACONIC_SHARES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_SHARES_INL_H
#undef LACONIC_SHARES_INL_H
#else
#define LACONIC_SHARES_INL_H
#endif

#include <hwy/highway.h>

#include "laconic/kernel/fused/job.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The extremes of each lane's scale, and what an element that equals one is given.
template <class D>
struct Extremes {
  hn::Vec<D> low, high, low_share, high_share;
};

/// The gradient of inputs, `own` through their codes, with what they are given for being extremes.
template <class D>
HWY_INLINE hn::Vec<D> with_shares(D d, const BackwardJob& job, const Extremes<D>& extremes,
                                  hn::Vec<D> x, hn::Vec<D> own) {
  if (job.high == nullptr) return own;
  auto share = extremes.high_share;
  if (job.of_magnitude) {
    const auto sign = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Neg(share), share);
    share = hn::IfThenZeroElse(hn::Eq(x, hn::Zero(d)), sign);
  }
  const auto size = job.of_magnitude ? hn::Abs(x) : x;
  const auto result = hn::Add(own, hn::IfThenElseZero(hn::Eq(size, extremes.high), share));
  if (job.low == nullptr) return result;
  return hn::Add(result, hn::IfThenElseZero(hn::Eq(x, extremes.low), extremes.low_share));
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LACONIC_SHARES_INL_H
