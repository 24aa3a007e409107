#pragma once

// What elements give back to the numbers that were found of them, and get back as their extremes.

#include "laconic/kernel/cuda/backward_parts.cuh"

namespace laconic::kernel::cuda {
namespace {

/// Scales by the largest magnitude.
struct OfMagnitudes {
  using Sums = FoundSums;

  /// What the elements of a pack give back; each one's gradient becomes that of its input.
  template <class O, GridKind kGrid, typename T>
  static __device__ __forceinline__ Sums of_pack(const Pack<T>& x, Pack<T>& gradient,
                                                 const RunScale<ScalarOps>& run,
                                                 const BackwardJob& job) {
    Sums sums;
    float scale = 0;
#pragma unroll
    for (int i = 0; i < Pack<T>::kCount; ++i) {
      const auto parts = gradient_at<O, kGrid, false>(x.values[i], gradient.values[i], run, job);
      gradient.values[i] = parts.input;
      scale += parts.scale;
      const int32_t bits = magnitude_bits<ScalarOps>(x.values[i]);
      sums.count = bits > sums.magnitude ? 1 : sums.count + (bits == sums.magnitude);
      sums.magnitude = bits > sums.magnitude ? bits : sums.magnitude;
    }
    sums.scale = scale;
    return sums;
  }

  /// @param of_scale  the gradient of the scale that the rule gave
  static __device__ __forceinline__ ScaleNumbers shares(const Sums& sums, float scale,
                                                        float of_scale, const BackwardJob& job) {
    const float largest = __int_as_float(sums.magnitude);
    const float slope = slope_of_range<ScalarOps>(scale, largest, job.rule);
    ScaleNumbers numbers = {};
    numbers.high = largest;
    numbers.high_share = __fdiv_rn(__fmul_rn(of_scale, slope), static_cast<float>(sums.count));
    return numbers;
  }
};

/// What the elements of a scale and a zero point give back, and their extremes: keys in which both
/// zeros are one.
struct RangeSums {
  double scale = 0, zero_point = 0;
  int32_t low = INT32_MAX, high = INT32_MIN, low_count = 0, high_count = 0;
  __device__ __forceinline__ void add(const RangeSums& other) {
    scale += other.scale, zero_point += other.zero_point;
    if (other.low == low) low_count += other.low_count;
    if (other.low < low) low = other.low, low_count = other.low_count;
    if (other.high == high) high_count += other.high_count;
    if (other.high > high) high = other.high, high_count = other.high_count;
  }
};
__device__ __forceinline__ RangeSums shared_sums(RangeSums sums, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    RangeSums other;
    other.scale = __shfl_xor_sync(kAllLanes, sums.scale, step);
    other.zero_point = __shfl_xor_sync(kAllLanes, sums.zero_point, step);
    other.low = __shfl_xor_sync(kAllLanes, sums.low, step);
    other.high = __shfl_xor_sync(kAllLanes, sums.high, step);
    other.low_count = __shfl_xor_sync(kAllLanes, sums.low_count, step);
    other.high_count = __shfl_xor_sync(kAllLanes, sums.high_count, step);
    sums.add(other);
  }
  return sums;
}

/// Scales, and zero points if there are any, by the range from the smallest to the largest number.
struct OfRanges {
  using Sums = RangeSums;

  template <class O, GridKind kGrid, typename T>
  static __device__ __forceinline__ Sums of_pack(const Pack<T>& x, Pack<T>& gradient,
                                                 const RunScale<ScalarOps>& run,
                                                 const BackwardJob& job) {
    Sums sums;
    float scale = 0, zero_point = 0;
#pragma unroll
    for (int i = 0; i < Pack<T>::kCount; ++i) {
      const auto parts = gradient_at<O, kGrid, true>(x.values[i], gradient.values[i], run, job);
      gradient.values[i] = parts.input;
      scale += parts.scale, zero_point += parts.zero_point;
      const int32_t key = ordered_key<ScalarOps>(__float_as_int(x.values[i] + 0.0F));
      sums.low_count = key < sums.low ? 1 : sums.low_count + (key == sums.low);
      sums.high_count = key > sums.high ? 1 : sums.high_count + (key == sums.high);
      sums.low = min(sums.low, key), sums.high = max(sums.high, key);
    }
    sums.scale = scale, sums.zero_point = zero_point;
    return sums;
  }

  static __device__ __forceinline__ ScaleNumbers shares(const Sums& sums, float scale,
                                                        float of_scale, const BackwardJob& job) {
    ScaleNumbers numbers = {};
    numbers.low = __int_as_float(ordered_key<ScalarOps>(sums.low));
    numbers.high = __int_as_float(ordered_key<ScalarOps>(sums.high));
    const float of_zero = job.zero_point == nullptr ? 0 : static_cast<float>(sums.zero_point);
    const auto of = gradients_of_range<ScalarOps, true>(
        numbers.low, numbers.high, {scale, of_scale, of_zero}, job.rule, job.grid, job.is_clipped);
    numbers.low_share = __fdiv_rn(of.low, static_cast<float>(sums.low_count));
    numbers.high_share = __fdiv_rn(of.high, static_cast<float>(sums.high_count));
    return numbers;
  }
};

template <class Rule, GridKind kGrid, typename T>
__device__ __forceinline__ typename Rule::Sums quick_sums(const Pack<T>& x, Pack<T>& gradient,
                                                          const RunScale<ScalarOps>& run,
                                                          const BackwardJob& job) {
  return by_quick_ops(
      run, [&]<class O>() { return Rule::template of_pack<O, kGrid>(x, gradient, run, job); });
}

}  // namespace
}  // namespace laconic::kernel::cuda
