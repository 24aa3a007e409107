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
  static __device__ __forceinline__ F clamped(F x, F low, F high) {  // NaN stays NaN
    x = x > high ? high : x;
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

#define LACONIC_MATH __device__ __forceinline__
#include "laconic/kernel/fused/element_math-inl.h"
#undef LACONIC_MATH

/// 16 bytes of elements, as floats.
template <typename T>
struct Pack {
  static constexpr int kCount = 16 / sizeof(T);
  float values[kCount];
};

__device__ __forceinline__ Pack<float> load_pack(const float* from) {
  const float4 v = __ldcs(reinterpret_cast<const float4*>(from));
  return {{v.x, v.y, v.z, v.w}};
}
__device__ __forceinline__ Pack<__nv_bfloat16> load_pack(const __nv_bfloat16* from) {
  const uint4 v = __ldcs(reinterpret_cast<const uint4*>(from));
  const uint32_t words[4] = {v.x, v.y, v.z, v.w};
  Pack<__nv_bfloat16> pack;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    pack.values[2 * i] = __uint_as_float(words[i] << 16);
    pack.values[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000);
  }
  return pack;
}
__device__ __forceinline__ void store_pack(const Pack<float>& x, float* to) {
  __stcs(reinterpret_cast<float4*>(to),
         make_float4(x.values[0], x.values[1], x.values[2], x.values[3]));
}
__device__ __forceinline__ void store_pack(const Pack<__nv_bfloat16>& x, __nv_bfloat16* to) {
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const __nv_bfloat162 pair = __halves2bfloat162(__float2bfloat16_rn(x.values[2 * i]),
                                                   __float2bfloat16_rn(x.values[2 * i + 1]));
    words[i] = *reinterpret_cast<const uint32_t*>(&pair);
  }
  __stcs(reinterpret_cast<uint4*>(to), make_uint4(words[0], words[1], words[2], words[3]));
}

__device__ __forceinline__ float load_one(const float* from) { return *from; }
__device__ __forceinline__ float load_one(const __nv_bfloat16* from) {
  return __bfloat162float(*from);
}
__device__ __forceinline__ void store_one(float x, float* to) { *to = x; }
__device__ __forceinline__ void store_one(float x, __nv_bfloat16* to) {
  *to = __float2bfloat16_rn(x);
}

/// Largest and smallest of `lanes` neighbouring threads of a warp, in all of them.
__device__ __forceinline__ RangeKeys shared_keys(RangeKeys keys, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    RangeKeys other;
    other.low = __shfl_xor_sync(0xFFFFFFFF, keys.low, step);
    other.high = __shfl_xor_sync(0xFFFFFFFF, keys.high, step);
    other.magnitude = __shfl_xor_sync(0xFFFFFFFF, keys.magnitude, step);
    keys.add(other);
  }
  return keys;
}

__device__ __forceinline__ void add_to_keys(float x, bool of_magnitude, RangeKeys& keys) {
  if (of_magnitude) {
    const int32_t bits = magnitude_bits<ScalarOps>(x);
    keys.magnitude = bits > keys.magnitude ? bits : keys.magnitude;
    return;
  }
  const int32_t key = ordered_key<ScalarOps>(__float_as_int(x));
  keys.low = key < keys.low ? key : keys.low;
  keys.high = key > keys.high ? key : keys.high;
}

/// Scale and zero point of the extremes; raises `not_finite` where they are no numbers.
struct Numbers {
  float scale, zero_point;
};
__device__ __forceinline__ Numbers numbers_of(const RangeKeys& keys, const FusedJob& job,
                                              int* not_finite) {
  Numbers numbers;
  const bool is_finite = numbers_of_keys<ScalarOps>(keys.low, keys.high, keys.magnitude, job.rule,
                                                    job.grid, numbers.scale, numbers.zero_point);
  if (!is_finite) *not_finite = 1;
  if (job.codes.scale != nullptr) numbers.scale = coded_scale<ScalarOps>(numbers.scale, job.codes);
  return numbers;
}

}  // namespace laconic::kernel::cuda
