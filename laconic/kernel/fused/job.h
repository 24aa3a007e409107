#pragma once

// One call of the loops, as raw pointers: for the CPU and CUDA alike.

#include <cstdint>
#include <limits>

#include "laconic/kernel/fused/rule.h"
#include "laconic/kernel/fused/runs.h"

namespace laconic::kernel {

/// Scale and zero point of each run, [scales] float32.
struct RunNumbers {
  float* scale = nullptr;
  float* zero_point = nullptr;  ///< nullptr: none
};

enum class ElementType { kFloat, kBfloat16 };

/// Scales that are numbers of a grid under one scale of their own.
struct ScaleCodes {
  const float* scale = nullptr;  ///< one number; nullptr: scales stay as the rule gives them
  ElementGrid grid;              ///< integers or minifloats above 0
};

/// One call: x -> value, both of `type`.
struct FusedJob {
  const void* x = nullptr;
  void* value = nullptr;  ///< nullptr: only numbers are found
  ElementType type = ElementType::kFloat;
  bool streams = false;    ///< the value is not to stay in the cache
  bool is_finite = false;  ///< x is known to hold neither NaN nor infinity
  ScaleRuns runs;
  ElementGrid grid;
  RangeRule rule;
  ScaleCodes codes;  ///< of the scales that the rule gives
  RunNumbers numbers;
};

/// Shares of one scale in the gradient, and how many elements equal its extremes.
struct GradientSums {
  double scale = 0, zero_point = 0;
  int64_t low = 0, high = 0;
  constexpr void add(const GradientSums& other) {
    scale += other.scale, zero_point += other.zero_point;
    low += other.low, high += other.high;
  }
};

/// Scales that became numbers of a grid under one scale of their own, which `rule` found of the
/// largest of them.
struct CodedScaleGradient {
  const float* scale = nullptr;  ///< one number; nullptr: scales stayed as the rule gave them
  ElementGrid grid;
  RangeRule rule;
  bool is_clipped = false;
  // What each scale that was as large as this (before it was coded) is given for it.
  float largest = std::numeric_limits<float>::infinity(), share = 0;
};

/// Over several scales: their gradient of the one scale of all, and which are the largest.
struct CodedScaleSums {
  double scale = 0;
  float largest = 0;
  int64_t count = 0;  ///< that are as large
  constexpr void add(const CodedScaleSums& other) {
    scale += other.scale;
    if (other.largest == largest) count += other.count;
    if (other.largest > largest) largest = other.largest, count = other.count;
  }
};

/// Backward of one call; x, the gradient of the value and that of x are of `type`.
struct BackwardJob {
  const void *x = nullptr, *gradient = nullptr;
  void* input_gradient = nullptr;
  ElementType type = ElementType::kFloat;
  bool streams = false, is_clipped = false;  ///< clipped: none flows through the ends of the grid
  ScaleRuns runs;
  ElementGrid grid;
  const float *scale = nullptr, *zero_point = nullptr;  ///< [scales]; nullptr: no zero point
  // The extremes of each scale, and what each element that equals one is given in the end:
  // [scales]; nullptr: none. Of magnitudes only `high`: |x| = high, times the sign of x.
  // Where the extremes are found by the loop that goes by runs, `rule` made scales of them, and the
  // grid of `codes` their codes.
  RangeRule rule;
  CodedScaleGradient codes;
  bool of_magnitude = false;
  const float *low = nullptr, *high = nullptr, *low_share = nullptr, *high_share = nullptr;
};

/// Smallest and largest element, and the largest magnitude, as integers that are ordered as floats
/// are (`ordered_key`, and the bits of |x|): NaN lies beyond infinity, so nothing is lost.
struct RangeKeys {
  int32_t low = INT32_MAX, high = INT32_MIN, magnitude = 0;
  constexpr void add(const RangeKeys& other) {
    low = other.low < low ? other.low : low;
    high = other.high > high ? other.high : high;
    magnitude = other.magnitude > magnitude ? other.magnitude : magnitude;
  }
  /// A short run counts as filled with zeros.
  constexpr void add_zero() { add({0, 0, 0}); }
};

}  // namespace laconic::kernel
