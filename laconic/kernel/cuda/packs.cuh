#pragma once

// 16 bytes of elements at a time: how they are read, written, and looked through for extremes.

#include "laconic/kernel/cuda/scalar_ops.cuh"

namespace laconic::kernel::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFF;

/// 16 bytes of elements, as floats.
template <typename T>
struct Pack {
  static constexpr int kCount = 16 / sizeof(T);
  float values[kCount];
};

/// 16 bytes of elements as they lie in memory.
template <typename T>
struct Words {
  uint4 words;
};

/// Elements that are read once.
template <typename T>
__device__ __forceinline__ Words<T> load_words(const T* from) {
  return {__ldcs(reinterpret_cast<const uint4*>(from))};
}
/// Elements that are read again soon.
template <typename T>
__device__ __forceinline__ Words<T> load_first(const T* from) {
  return {__ldg(reinterpret_cast<const uint4*>(from))};
}

__device__ __forceinline__ Pack<float> unpacked(const Words<float>& from) {
  const uint4 v = from.words;
  return {{__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z), __uint_as_float(v.w)}};
}
__device__ __forceinline__ Pack<__nv_bfloat16> unpacked(const Words<__nv_bfloat16>& from) {
  const uint32_t words[4] = {from.words.x, from.words.y, from.words.z, from.words.w};
  Pack<__nv_bfloat16> pack;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    pack.values[2 * i] = __uint_as_float(words[i] << 16);
    pack.values[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000);
  }
  return pack;
}
template <typename T>
__device__ __forceinline__ Pack<T> load_pack(const T* from) {
  return unpacked(load_words(from));
}

__device__ __forceinline__ void store_pack(const Pack<float>& x, float* to) {
  __stcs(reinterpret_cast<float4*>(to),
         make_float4(x.values[0], x.values[1], x.values[2], x.values[3]));
}
__device__ __forceinline__ void store_pack(const Pack<__nv_bfloat16>& x, __nv_bfloat16* to) {
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(x.values[2 * i], x.values[2 * i + 1]);
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

/// Of magnitudes only `magnitude` counts, else the other two.
template <bool kMagnitude>
__device__ __forceinline__ RangeKeys with_keys(RangeKeys keys, const RangeKeys& other) {
  if constexpr (kMagnitude) {
    keys.magnitude = max(keys.magnitude, other.magnitude);
  } else {
    keys.low = min(keys.low, other.low);
    keys.high = max(keys.high, other.high);
  }
  return keys;
}

template <bool kMagnitude>
__device__ __forceinline__ RangeKeys keys_of(float x) {
  RangeKeys keys;
  if constexpr (kMagnitude)
    keys.magnitude = magnitude_bits<ScalarOps>(x);
  else
    keys.low = keys.high = ordered_key<ScalarOps>(__float_as_int(x));
  return keys;
}
template <bool kMagnitude>
__device__ __forceinline__ RangeKeys keys_of(const Words<float>& from) {
  const Pack<float> pack = unpacked(from);
  RangeKeys keys;
#pragma unroll
  for (int i = 0; i < Pack<float>::kCount; ++i)
    keys = with_keys<kMagnitude>(keys, keys_of<kMagnitude>(pack.values[i]));
  return keys;
}

/// The key of a float whose upper half has the key `half`, in the upper half of the argument.
__device__ __forceinline__ int32_t key_of_half(int32_t half) {
  return (half & static_cast<int32_t>(0xFFFF0000)) | (half < 0 ? 0xFFFF : 0);
}
/// Two elements a word.
template <bool kMagnitude>
__device__ __forceinline__ RangeKeys keys_of(const Words<__nv_bfloat16>& from) {
  const uint32_t words[4] = {from.words.x, from.words.y, from.words.z, from.words.w};
  RangeKeys keys;
  if constexpr (kMagnitude) {
    uint32_t most = 0;
#pragma unroll
    for (const uint32_t word : words) most = __vmaxu2(most, word & 0x7FFF7FFF);
    keys.magnitude = static_cast<int32_t>(max(most & 0xFFFF0000, most << 16));
  } else {
    uint32_t low = 0x7FFF7FFF, high = 0x80008000;
#pragma unroll
    for (const uint32_t word : words) {
      const uint32_t key = word ^ ((word >> 15 & 0x00010001) * 0x7FFF);
      low = __vmins2(low, key);
      high = __vmaxs2(high, key);
    }
    keys.low = key_of_half(min(static_cast<int32_t>(low), static_cast<int32_t>(low << 16)));
    keys.high = key_of_half(max(static_cast<int32_t>(high), static_cast<int32_t>(high << 16)));
  }
  return keys;
}

/// Largest and smallest of `lanes` neighbouring threads of a warp, in all of them.
template <bool kMagnitude>
__device__ __forceinline__ RangeKeys shared_keys(RangeKeys keys, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    RangeKeys other;
    if constexpr (kMagnitude) {
      other.magnitude = __shfl_xor_sync(kAllLanes, keys.magnitude, step);
    } else {
      other.low = __shfl_xor_sync(kAllLanes, keys.low, step);
      other.high = __shfl_xor_sync(kAllLanes, keys.high, step);
    }
    keys = with_keys<kMagnitude>(keys, other);
  }
  return keys;
}

/// Those of a block of at most 32 warps, in all of its threads. May be called once in a kernel.
template <bool kMagnitude>
__device__ __forceinline__ RangeKeys keys_of_block(RangeKeys keys) {
  __shared__ RangeKeys parts[kWarp];
  keys = shared_keys<kMagnitude>(keys, kWarp);
  const int lane = threadIdx.x % kWarp;
  if (lane == 0) parts[threadIdx.x / kWarp] = keys;
  __syncthreads();
  keys = lane < blockDim.x / kWarp ? parts[lane] : RangeKeys{};
  return shared_keys<kMagnitude>(keys, kWarp);
}

/// Keys of a part of a scale, to which others add too.
template <bool kMagnitude>
__device__ __forceinline__ void add_keys(const RangeKeys& keys, RangeKeys* scale) {
  if constexpr (kMagnitude) {
    atomicMax(&scale->magnitude, keys.magnitude);
  } else {
    atomicMin(&scale->low, keys.low);
    atomicMax(&scale->high, keys.high);
  }
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
