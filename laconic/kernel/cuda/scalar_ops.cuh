#pragma once

// The operations of element_math-inl.h on the scalars of a CUDA thread.

#include <cuda_bf16.h>

#include <cstdint>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel::cuda {

struct ScalarOps {
  using F = float;
  using I = int32_t;
  using M = bool;

  static __device__ __forceinline__ F set(float x) { return x; }
  static __device__ __forceinline__ I whole(int32_t x) { return x; }
  static __device__ __forceinline__ F floats(I x) { return __int_as_float(x); }
  static __device__ __forceinline__ I bits(F x) { return __float_as_int(x); }

  // Named roundings are never contracted.
  static __device__ __forceinline__ F add(F a, F b) { return __fadd_rn(a, b); }
  static __device__ __forceinline__ F sub(F a, F b) { return __fsub_rn(a, b); }
  static __device__ __forceinline__ F mul(F a, F b) { return __fmul_rn(a, b); }
  static __device__ __forceinline__ F div(F a, F b) { return __fdiv_rn(a, b); }
  static __device__ __forceinline__ F round(F a) { return rintf(a); }
  static __device__ __forceinline__ F absolute(F a) { return fabsf(a); }
  static __device__ __forceinline__ M greater(F a, F b) { return a > b; }
  static __device__ __forceinline__ M is_number(F a) { return a == a; }
  static __device__ __forceinline__ F clamped(F x, F low, F high) {  // NaN stays NaN, -0 stays -0
    asm("min.NaN.f32 %0, %0, %1;" : "+f"(x) : "f"(high));
    return low > x ? low : x;
  }
  static __device__ __forceinline__ F select(M mask, F yes, F no) { return mask ? yes : no; }

  static __device__ __forceinline__ I plus(I a, I b) { return a + b; }
  static __device__ __forceinline__ I subtract(I a, I b) { return a - b; }
  static __device__ __forceinline__ I bit_or(I a, I b) { return a | b; }
  static __device__ __forceinline__ I bit_and(I a, I b) { return a & b; }
  static __device__ __forceinline__ I bit_xor(I a, I b) { return a ^ b; }
  static __device__ __forceinline__ I max_whole(I a, I b) { return a > b ? a : b; }
  static __device__ __forceinline__ M less_whole(I a, I b) { return a < b; }
  static __device__ __forceinline__ I sign_everywhere(I a) { return a >> 31; }
  template <int kBits>
  static __device__ __forceinline__ I shift_right(I a) {
    return static_cast<I>(static_cast<uint32_t>(a) >> kBits);
  }

  /// As VectorOps::divide: the correctly rounded quotient by two exact corrections.
  struct Divisor {
    F scale, inverse;
    bool is_exact;
  };
  static __device__ __forceinline__ Divisor divisor(float scale) {
    const bool is_exact = scale > 0x1p-60F && scale < 0x1p60F;
    return {scale, is_exact ? __frcp_rn(scale) : 0.0F, is_exact};
  }
  static __device__ __forceinline__ F divide(F x, const Divisor& divisor) {
    if (!divisor.is_exact) return __fdiv_rn(x, divisor.scale);
    const F near = __fmul_rn(x, divisor.inverse);
    const F nearer = __fmaf_rn(-__fmaf_rn(near, divisor.scale, -x), divisor.inverse, near);
    const F right = __fmaf_rn(-__fmaf_rn(nearer, divisor.scale, -x), divisor.inverse, nearer);
    return is_number(right) ? right : near;
  }
};

/// Where the divisor is exact: the same quotients by fewer instructions.
struct ExactOps : ScalarOps {
  static __device__ __forceinline__ F divide(F x, const Divisor& divisor) {
    const F near = __fmul_rn(x, divisor.inverse);
    const F right = corrected(corrected(near, x, divisor), x, divisor);
    return is_number(right) ? right : near;
  }

 protected:
  static __device__ __forceinline__ F corrected(F near, F x, const Divisor& divisor) {
    return __fmaf_rn(-__fmaf_rn(near, divisor.scale, -x), divisor.inverse, near);
  }
};

/// And where quotients are finite, those of scales that were found of the elements.
struct BoundedOps : ExactOps {
  static __device__ __forceinline__ F divide(F x, const Divisor& divisor) {
    return corrected(corrected(__fmul_rn(x, divisor.inverse), x, divisor), x, divisor);
  }
};

/// And where x has the 8 bits of a bfloat16: one correction is enough, as going through all pairs
/// of mantissas shows.
struct BoundedBfloatOps : ExactOps {
  static __device__ __forceinline__ F divide(F x, const Divisor& divisor) {
    return corrected(__fmul_rn(x, divisor.inverse), x, divisor);
  }
};

template <typename T>
struct BoundedOpsOf {
  using Ops = BoundedOps;
};
template <>
struct BoundedOpsOf<__nv_bfloat16> {
  using Ops = BoundedBfloatOps;
};

#define LACONIC_MATH __device__ __forceinline__
#include "laconic/kernel/fused/element_math-inl.h"
#include "laconic/kernel/fused/range_gradient-inl.h"
#undef LACONIC_MATH

/// The same scale for other operations on scalars.
template <class O>
__device__ __forceinline__ RunScale<O> with_ops(const RunScale<ScalarOps>& run) {
  return {run.scale, run.zero_point, run.divisor};
}

}  // namespace laconic::kernel::cuda
