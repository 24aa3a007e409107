// The operations of element_math-inl.h on Highway's vectors. Included once for each instruction set
// (see Highway's foreach_target.h), so the guard below is a toggle and not #pragma once.
#if defined(LACONIC_VECTOR_OPS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_VECTOR_OPS_INL_H
#undef LACONIC_VECTOR_OPS_INL_H
#else
#define LACONIC_VECTOR_OPS_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "laconic/kernel/fused/rule.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
struct VectorOps {
  using DI = hn::RebindToSigned<D>;
  using F = hn::Vec<D>;
  using I = hn::Vec<DI>;
  using M = hn::Mask<D>;

  static HWY_INLINE F set(float x) { return hn::Set(D(), x); }
  static HWY_INLINE I whole(int32_t x) { return hn::Set(DI(), x); }
  static HWY_INLINE F floats(I x) { return hn::BitCast(D(), x); }
  static HWY_INLINE I bits(F x) { return hn::BitCast(DI(), x); }

  static HWY_INLINE F add(F a, F b) { return hn::Add(a, b); }
  static HWY_INLINE F sub(F a, F b) { return hn::Sub(a, b); }
  static HWY_INLINE F mul(F a, F b) { return hn::Mul(a, b); }
  static HWY_INLINE F div(F a, F b) { return hn::Div(a, b); }
  static HWY_INLINE F round(F a) { return hn::Round(a); }  // half to even
  static HWY_INLINE F absolute(F a) { return hn::Abs(a); }
  static HWY_INLINE M greater(F a, F b) { return hn::Gt(a, b); }
  static HWY_INLINE M is_number(F a) { return hn::Eq(a, a); }
  static HWY_INLINE F select(M mask, F yes, F no) { return hn::IfThenElse(mask, yes, no); }

  static HWY_INLINE I plus(I a, I b) { return hn::Add(a, b); }
  static HWY_INLINE I subtract(I a, I b) { return hn::Sub(a, b); }
  static HWY_INLINE I bit_or(I a, I b) { return hn::Or(a, b); }
  static HWY_INLINE I bit_and(I a, I b) { return hn::And(a, b); }
  static HWY_INLINE I bit_xor(I a, I b) { return hn::Xor(a, b); }
  static HWY_INLINE I min_whole(I a, I b) { return hn::Min(a, b); }
  static HWY_INLINE I max_whole(I a, I b) { return hn::Max(a, b); }
  static HWY_INLINE M less_whole(I a, I b) { return hn::RebindMask(D(), hn::Lt(a, b)); }
  static HWY_INLINE I sign_everywhere(I a) { return hn::ShiftRight<31>(a); }
  template <int kBits>
  static HWY_INLINE I shift_right(I a) {
    return hn::BitCast(DI(), hn::ShiftRight<kBits>(hn::BitCast(hn::RebindToUnsigned<D>(), a)));
  }

  /// A divisor of many numbers. A division takes as long as ten products, so it is done by the
  /// reciprocal and two corrections, each of which knows the rest exactly: the correctly rounded
  /// quotient (Markstein 1990), where no intermediate number can be denormal.
  struct Divisor {
    F scale, inverse;
    bool is_exact;
  };
  static HWY_INLINE Divisor divisor(float scale) {
    const bool is_exact = HWY_NATIVE_FMA && scale > 0x1p-60F && scale < 0x1p60F;
    return {set(scale), is_exact ? set(1.0F / scale) : set(0), is_exact};
  }
  static HWY_INLINE F divide(F x, const Divisor& divisor) {
    if (!divisor.is_exact) return hn::Div(x, divisor.scale);
    // What is too much, not what is missing: so -0 stays -0.
    const F near = hn::Mul(x, divisor.inverse);
    const F nearer = hn::NegMulAdd(hn::MulSub(near, divisor.scale, x), divisor.inverse, near);
    const F right = hn::NegMulAdd(hn::MulSub(nearer, divisor.scale, x), divisor.inverse, nearer);
    return select(is_number(right), right, near);  // infinity has no rest
  }
};

#define LACONIC_MATH HWY_INLINE
#include "laconic/kernel/fused/element_math-inl.h"
#undef LACONIC_MATH

/// Loads and stores of both types, as floats.
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const uint16_t* from) {  // bfloat16
  const hn::Rebind<uint16_t, D> narrow;
  const hn::RebindToUnsigned<D> wide;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, from))));
}
template <class D>
HWY_INLINE void store(D d, hn::Vec<D> x, float* to, bool streams) {
  streams ? hn::Stream(x, d, to) : hn::StoreU(x, d, to);
}
template <class D>
HWY_INLINE void store(D, hn::Vec<D> x, uint16_t* to, bool streams) {  // nearest, half to even
  const hn::RebindToUnsigned<D> wide;
  const hn::RebindToSigned<D> whole;
  const hn::Rebind<uint16_t, D> narrow;
  const auto bits = hn::BitCast(wide, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(wide, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(wide, 0x7FFF))));
  const auto number = hn::RebindMask(wide, hn::Eq(x, x));
  const auto kept = hn::IfThenElse(number, rounded, hn::Set(wide, 0x7FC0));
  const auto small = hn::DemoteTo(narrow, hn::BitCast(whole, kept));
  streams ? hn::Stream(small, narrow, to) : hn::StoreU(small, narrow, to);
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LACONIC_VECTOR_OPS_INL_H
