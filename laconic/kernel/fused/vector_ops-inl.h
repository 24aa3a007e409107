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

#include "laconic/kernel/fused/job.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// How quotients are found.
enum class DivideBy {
  kAny,       ///< decided for each divisor
  kDivision,  ///< by the machine's division, which takes as long as ten products
  kQuick,     ///< by the reciprocal, corrected; see `divide`
  kShort,     ///< the same of numbers that bfloat16 holds
  kPower,     ///< by the reciprocal, which is exact
};

/// Where kQuick and kShort are right: no intermediate number is denormal.
inline constexpr float kSmallestQuick = 0x1p-60F, kLargestQuick = 0x1p60F;

/// kFinite: no number is NaN or infinite, or nobody looks at what becomes of it.
template <class D, DivideBy kBy = DivideBy::kAny, bool kFinite = false>
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

  /// min(max(x, low), high); NaN stays NaN and -0 is no less than 0 on every machine, which Min and
  /// Max do not promise.
  static HWY_INLINE F clamped(F x, F low, F high) {
    // The instructions of x86 give the second of two zeros.
    if constexpr (kFinite && HWY_ARCH_X86) return hn::Min(high, hn::Max(low, x));
    x = select(greater(x, high), high, x);
    return select(greater(low, x), low, x);
  }

  static HWY_INLINE I plus(I a, I b) { return hn::Add(a, b); }
  static HWY_INLINE I subtract(I a, I b) { return hn::Sub(a, b); }
  static HWY_INLINE I bit_or(I a, I b) { return hn::Or(a, b); }
  static HWY_INLINE I bit_and(I a, I b) { return hn::And(a, b); }
  static HWY_INLINE I bit_xor(I a, I b) { return hn::Xor(a, b); }
  static HWY_INLINE I max_whole(I a, I b) { return hn::Max(a, b); }
  static HWY_INLINE M less_whole(I a, I b) { return hn::RebindMask(D(), hn::Lt(a, b)); }
  static HWY_INLINE I sign_everywhere(I a) { return hn::ShiftRight<31>(a); }
  template <int kBits>
  static HWY_INLINE I shift_right(I a) {
    return hn::BitCast(DI(), hn::ShiftRight<kBits>(hn::BitCast(hn::RebindToUnsigned<D>(), a)));
  }

  struct Divisor {
    F scale, inverse;
    bool is_quick;
  };
  static HWY_INLINE Divisor divisor(float scale) {
    const bool is_quick = HWY_NATIVE_FMA && scale > kSmallestQuick && scale < kLargestQuick;
    return {set(scale), set(1.0F / scale), is_quick};
  }
  /// kQuick corrects twice, each time knowing the rest exactly: the correctly rounded quotient
  /// (Markstein 1990). Of x with 8 digits one correction gives it for every divisor: a test goes
  /// through all of them.
  static HWY_INLINE F divide(F x, const Divisor& divisor) {
    if constexpr (kBy == DivideBy::kPower) return hn::Mul(x, divisor.inverse);
    if (kBy == DivideBy::kDivision || (kBy == DivideBy::kAny && !divisor.is_quick))
      return hn::Div(x, divisor.scale);
    // What is too much, not what is missing: so -0 stays -0.
    const F near = hn::Mul(x, divisor.inverse);
    const F nearer = hn::NegMulAdd(hn::MulSub(near, divisor.scale, x), divisor.inverse, near);
    if constexpr (kBy == DivideBy::kShort)
      return kFinite ? nearer : select(is_number(nearer), nearer, near);
    const F right = hn::NegMulAdd(hn::MulSub(nearer, divisor.scale, x), divisor.inverse, nearer);
    return kFinite ? right : select(is_number(right), right, near);  // infinity has no rest
  }
};

#define LACONIC_MATH HWY_INLINE
#include "laconic/kernel/fused/element_math-inl.h"
#include "laconic/kernel/fused/range_gradient-inl.h"
#undef LACONIC_MATH

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LACONIC_VECTOR_OPS_INL_H
